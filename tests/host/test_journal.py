"""The journal of the services is plain text, and the server's tells of no trouble."""

import pytest
from testinfra.host import Host


def journal(host: Host, unit: str) -> str:
    """What a unit has said since it was last started."""
    invocation = host.check_output("systemctl show --property InvocationID --value %s", unit)
    return host.check_output(f"journalctl --quiet --all --no-pager --output cat _SYSTEMD_INVOCATION_ID={invocation}")


@pytest.mark.parametrize("unit", ["prefect-server", "prefect-worker@default"])
def test_there_are_no_colours(host: Host, unit: str) -> None:
    text = journal(host, unit)
    assert text
    assert "\x1b[" not in text


def test_the_server_has_met_no_error(host: Host) -> None:
    lines = journal(host, "prefect-server").splitlines()
    assert lines
    assert not [line for line in lines if "ERROR" in line or "CRITICAL" in line or "Traceback" in line]


def test_it_is_kept_over_restarts_of_the_host(host: Host) -> None:
    machine = host.file("/etc/machine-id").content_string.strip()
    assert host.file(f"/var/log/journal/{machine}/system.journal").exists
