"""Projects written for the occasion, and one real Prefect server."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from deployer.inspection import Flow, inspect  # noqa: E402

LOCK = "prefect==3.9.1 \\\n    --hash=sha256:00\n    # via -r requirements.in\n"
FLOW = '''
from datetime import date
from typing import Literal

from prefect import flow


@flow
def hello(who: str, times: int = 1, day: date | None = None, mood: Literal["glad", "sad"] = "glad"):
    """Says hello."""


@flow(name="ciao")
def goodbye():
    """Says goodbye."""
'''
PREFECT = """
name: {name}
deployments:
  - name: daily
    entrypoint: flow.py:goodbye
"""

WriteProject = Callable[..., Path]


RESOURCES = "work_pools: [{name: default}]\n"
TARGETS = """
name: shop
targets:
  lab: {mode: development}
  production: {mode: production}
"""


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """A folder without projects, with the default pool and two targets."""
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "resources.yml").write_text(RESOURCES)
    (folder / "targets.yml").write_text(TARGETS)
    return folder


@pytest.fixture
def flow_source() -> str:
    """The flows of a right project."""
    return FLOW


@pytest.fixture
def write_project(flows: Path) -> WriteProject:
    """Writes a project: a right one, but for what a test gives in place of its files (None leaves a file out)."""

    def write(name: str = "shop", **files: str | None) -> Path:
        right = {"prefect.yaml": PREFECT.format(name=name), "flow.py": FLOW, "requirements.txt": LOCK}
        given = {
            file.replace("_yaml", ".yaml").replace("_py", ".py").replace("_txt", ".txt"): files[file] for file in files
        }
        folder = flows / name
        folder.mkdir(exist_ok=True)
        for file, text in (right | given).items():
            if text is not None:
                (folder / file).write_text(text)
        return folder

    return write


@pytest.fixture(autouse=True)
def no_earlier_inspections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test imports its flows itself."""
    monkeypatch.setattr("deployer.inspection.CACHE", tmp_path / "inspections")


@pytest.fixture
def python_of() -> Callable[[object], Path]:
    """Has projects imported by the Python that runs the tests, so that no environment is built."""
    return lambda _project: Path(sys.executable)


@pytest.fixture(scope="session")
def right_flows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Flow | str]:
    """What the flows of a right project say of themselves."""
    folder = tmp_path_factory.mktemp("right")
    (folder / "flow.py").write_text(FLOW)
    return inspect(Path(sys.executable), {folder: ["flow.py:hello", "flow.py:goodbye"]})[folder]


@pytest.fixture
def imported(right_flows: dict[str, Flow | str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the import of flows, which takes a second: all projects have those of a right one."""
    monkeypatch.setattr("deployer.check.inspect", lambda python, projects: dict.fromkeys(projects, right_flows))


@dataclass(frozen=True)
class Server:
    """A running Prefect server."""

    url: str
    auth: str


@contextmanager
def serving(home: Path, *options: str, **settings: str) -> Iterator[Server]:
    """A real server behind a password, on a free port of the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}/api", "admin:correct-horse")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home}/prefect.db",
        "PREFECT_SERVER_API_AUTH_STRING": server.auth,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        **settings,
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=Retry(60, backoff_factor=0.2, backoff_max=1)))
            session.get(f"{server.url}/health", timeout=60).raise_for_status()
        yield server
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that answers, and does nothing by itself."""
    with serving(tmp_path_factory.mktemp("server"), "--no-services") as server:
        yield server


@pytest.fixture(scope="session")
def server_with_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that does what has to be done by itself, and sooner than by default."""
    eager = {
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "2",
    }
    with serving(tmp_path_factory.mktemp("server-with-services"), **eager) as server:
        yield server
