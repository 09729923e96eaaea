"""The lab's host, over SSH as root, and its API, as the Makefile's settings say."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import testinfra
from pydantic import SecretStr
from testinfra.backend.base import CommandResult
from testinfra.host import Host

NEEDED = ("LAB_NAME", "LAB_DIR", "LAB_PORT_OFFSET", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
if missing := [name for name in NEEDED if name not in os.environ]:
    pytest.exit(f"tests/host: {', '.join(missing)} not set: run these tests with `make test`", returncode=2)

LAB = Path(os.environ["LAB_DIR"])
API = os.environ["PREFECT_API_URL"]

Inside = Callable[..., CommandResult]


@pytest.fixture(scope="session")
def neighbour() -> Host:
    """Another machine on the host's network."""
    return testinfra.get_host(f"docker://{os.environ['LAB_NAME']}-source-postgres")


@pytest.fixture(scope="session")
def domain() -> str:
    """The name under which the host serves Prefect."""
    return urlsplit(API).hostname


@pytest.fixture(scope="session")
def ca() -> Path:
    """The authorities that the host's certificate comes from."""
    return LAB / "ca.pem"


@pytest.fixture(scope="session")
def ask(ca: Path) -> Callable[..., dict | list]:
    """Ask Prefect's API, as its administrator."""

    def ask(method: str, path: str, **arguments: object) -> dict | list:
        user, password = os.environ["PREFECT_API_AUTH_STRING"].split(":", 1)
        answer = requests.request(method, API + path, auth=(user, password), verify=ca, timeout=30, **arguments)
        answer.raise_for_status()
        return answer.json()

    return ask


@pytest.fixture(scope="session")
def secrets(ask: Callable[..., list]) -> dict[str, SecretStr]:
    """What must show nowhere: the administrator's password, and what the flows' Secret blocks hold."""
    blocks = {
        block["name"]: block["data"]["value"]
        for block in ask("POST", "/block_documents/filter", json={"include_secrets": True})
        if block["block_type"]["slug"] == "secret"
    }
    values = {
        "password of the administrator": os.environ["PREFECT_API_AUTH_STRING"].split(":", 1)[1],
        "key of the function": blocks["azure-function-key"],
        "password of the PostgreSQL source": blocks["source-postgres"]["password"],
        "password of the MariaDB source": blocks["source-mariadb"]["password"],
        "private key of the warehouse's user": blocks["snowflake"]["private_key"].splitlines()[1],
    }
    return {name: SecretStr(value) for name, value in values.items()}


def inside(host: Host, unit: str) -> Inside:
    """Run commands as the unit's own user, in the file system as the unit has it."""
    pid = host.check_output("systemctl show --property MainPID --value %s", unit)
    user = host.user(host.check_output("systemctl show --property User --value %s", unit))
    enter = f"nsenter --target {pid} --mount --setuid {user.uid} --setgid {user.gid} "
    return lambda command, *arguments: host.run(enter + command, *arguments)


@pytest.fixture(scope="session")
def in_server(host: Host) -> Inside:
    """Run commands where the server runs."""
    return inside(host, "prefect-server")


@pytest.fixture(scope="session")
def in_worker(host: Host) -> Inside:
    """Run commands where flows run."""
    return inside(host, "prefect-worker@default")


@pytest.fixture
def told(host: Host) -> Callable[[str], list[dict]]:
    """What the lab's stand-in for Slack or a mail server was sent about a unit."""

    def told(unit: str) -> list[dict]:
        everything = json.loads(host.check_output("curl --silent --fail http://function:7071/notifications"))
        return [message for message in everything if message.get("title", "").startswith(f"{unit} failed on ")]

    return told
