"""What the lab's tests share."""

import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

pytest_plugins = ["budget"]
UNITS = ("prefect-*", "postgresql@*", "nginx", "pgbackrest-*")


@pytest.fixture(scope="session")
def reach(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Host]:
    """Reach the host of the lab that the settings name, over SSH as root. One connection serves all tests."""

    def reach() -> Host:
        ssh = Path(os.environ["LAB_DIR"]) / "ssh"
        return testinfra.get_host(
            f"ssh://admin@127.0.0.1:{2222 + int(os.environ['LAB_PORT_OFFSET'])}",
            sudo=True,
            ssh_identity_file=str(ssh / "id_ed25519"),
            ssh_extra_args=f"-o UserKnownHostsFile={shlex.quote(str(ssh / 'known_hosts'))}",
            controlpath=str(tmp_path_factory.mktemp("ssh") / "control"),
        )

    return reach


@pytest.fixture(scope="session")
def host(reach: Callable[[], Host]) -> Host:
    """The lab's host."""
    return reach()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    """A test that fails on the lab's host shows what the units wrote meanwhile."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host and hasattr(report.longrepr, "addsection"):
        units = " ".join(f"--unit='{unit}'" for unit in UNITS)
        journal = host.run(f"journalctl --quiet --no-pager --lines=30 --since=@{call.start:.0f} {units}")
        report.longrepr.addsection("Journal of the host", journal.stdout + journal.stderr)
    return report


@pytest.fixture
def forget(host: Host) -> Callable[[str], None]:
    """Let a service be as if it had not failed."""

    def forget(unit: str) -> None:
        notification = f"notify@{unit}.service"
        host.run("systemctl stop %s", notification)
        # The notification may not have been over.
        host.run("systemctl reset-failed %s %s", unit, notification)

    return forget


@pytest.fixture
def fail(host: Host, forget: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Let a service of this name fail."""
    units = set()

    def fail(unit: str) -> None:
        units.add(unit)
        host.run("systemctl reset-failed %s", unit)
        assert host.run("systemd-run --quiet --wait --unit %s /bin/false", unit).rc == 1

    yield fail
    for unit in units:
        forget(unit)
