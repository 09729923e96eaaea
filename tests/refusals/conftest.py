"""The lab, and an environment like it that each test spoils; what is refused must leave the lab as it was."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from refusal import ROOT, Environment, lab_secrets
from testinfra.host import Host

NEEDED = ("LAB_NAME", "LAB_DIR", "LAB_PORT_OFFSET", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
if missing := [name for name in NEEDED if name not in os.environ]:
    pytest.exit(f"tests/refusals: {', '.join(missing)} not set: run these tests with `make test`", returncode=2)

LAB = Path(os.environ["LAB_DIR"])
# When each file of the system was last changed, which start of each unit this is, what the firewall lets in
STATE = (
    "find /etc /var/lib/dpkg/status /opt/prefect -maxdepth 4 -type f -printf '%p %C@ %s\\n'",
    "systemctl show --property Id,InvocationID nginx nftables 'postgresql@*' 'prefect-*'",
    "nft --stateless list table inet prefect_filter",
)


@pytest.fixture(autouse=True)
def unchanged(host: Host) -> Iterator[None]:
    """The host is after a test what it was before."""

    def state() -> set[str]:
        return {line for look in STATE for line in host.check_output(look).splitlines()}

    before = state()
    yield
    assert state() ^ before == set()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment with the lab's host, right in all until a test spoils it."""
    inventory = ROOT / "ansible/inventories/lab"
    hosts, variables = (
        yaml.safe_load((inventory / file).read_text()) for file in ("hosts.yml", "group_vars/all/main.yml")
    )
    return Environment(tmp_path / f"{os.environ['LAB_NAME']}-spoilt", hosts, variables, dict(lab_secrets()))


@pytest.fixture(scope="session")
def client() -> Iterator[SyncPrefectClient]:
    """Prefect's own client."""
    with get_client(sync_client=True) as client:
        yield client
