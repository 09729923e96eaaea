"""What has to run, runs: now, after a restart of the host, and within its bounds."""

import pytest
from testinfra.host import Host

UNITS = ["nginx", "nftables", "postgresql", "prefect-server", "prefect-worker@default", "certbot.timer"]
MOST_EXPOSED = {"prefect-server": 3.0, "prefect-worker@default": 4.0}


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_runs_now_and_after_a_restart(host: Host, unit: str) -> None:
    service = host.service(unit)
    assert service.is_running
    assert service.is_enabled


def test_the_database_cluster_runs(host: Host) -> None:
    # `postgresql` itself is only the bracket around the clusters.
    assert host.run("systemctl is-active 'postgresql@*.service'").stdout.split() == ["active"]


def test_no_unit_has_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


@pytest.mark.parametrize("unit", MOST_EXPOSED)
def test_a_unit_is_locked_in(host: Host, unit: str) -> None:
    security = host.check_output("systemd-analyze security --no-pager %s", unit)
    *_, level = (line for line in security.splitlines() if "Overall exposure level" in line)
    assert float(level.split()[-3]) <= MOST_EXPOSED[unit], security


@pytest.mark.parametrize("unit", MOST_EXPOSED)
def test_a_process_can_never_gain_rights(host: Host, unit: str) -> None:
    pid = host.check_output("systemctl show --property MainPID --value %s", unit)
    status = dict(line.split(":\t", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines())
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert {int(status[set_], 16) for set_ in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}


def test_the_server_cannot_take_all_memory(host: Host) -> None:
    assert host.check_output("systemctl show --property MemoryMax --value prefect-server") != "infinity"


def test_security_updates_come_by_themselves(host: Host) -> None:
    assert host.service("apt-daily-upgrade.timer").is_running
    assert host.service("apt-daily-upgrade.timer").is_enabled
    settings = host.check_output("apt-config dump --format '%f=%v%n'").splitlines()
    assert "APT::Periodic::Unattended-Upgrade=1" in settings
    assert "APT::Periodic::Update-Package-Lists=1" in settings
    assert any("security" in line.lower() for line in settings if line.startswith("Unattended-Upgrade::"))
