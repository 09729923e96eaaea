"""What has to run, runs: now, after a restart of the host, and within its bounds."""

import re
from pathlib import Path

import pytest
from testinfra.host import Host

UNITS = ["nginx", "nftables", "postgresql", "prefect-server", "prefect-worker@default", "certbot.timer"]
# By `systemd-analyze security`: every unit of ours and of what we configure
LOCKED_IN = [
    "certbot",
    "certificate-end",
    "disk-space",
    "notify@prefect-server.service",
    "pgbackrest-backup@full",
    "pgbackrest-check",
    "pgbackrest-drill",
    "prefect-prune",
    "prefect-server",
    "prefect-worker@default",
    "prometheus-blackbox-exporter",
    "prometheus-nginx-exporter",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "wrong-logins",
]
EXPOSED_MOST = 2.0
# Each starts as root and hands its work to another user, which takes rights that count.
MORE_EXPOSED = {"nginx": 2.6, "postgresql@*": 2.6}
# What anybody outside, or a flow, could otherwise take all of
RATE = {"LogRateLimitIntervalUSec": "30s"}
BOUNDS = {
    "nginx": RATE | {"LogRateLimitBurst": "1000", "LimitNOFILE": "65536"},
    "prefect-server": RATE
    | {
        "LogRateLimitBurst": "20000",
        "LimitNOFILE": "65536",
        "TasksMax": "1024",
        "LimitCORE": "0",
        "MemorySwapMax": "0",
    },
    "prefect-worker@default": RATE
    | {"LogRateLimitBurst": "50000", "TasksMax": "4096", "LimitCORE": "0", "MemorySwapMax": "0"},
}
RUNS_UNPRIVILEGED = ["prefect-server", "prefect-worker@default"]


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


def exposure(host: Host, unit: str) -> float:
    """What `systemd-analyze security` says of a unit, from 0.0 to 10.0."""
    security = host.check_output("systemd-analyze security --no-pager %s", unit)
    *_, level = (line for line in security.splitlines() if "Overall exposure level" in line)
    return float(level.split()[-3])


@pytest.mark.parametrize("unit", LOCKED_IN)
def test_a_unit_is_locked_in(host: Host, unit: str) -> None:
    assert exposure(host, unit) <= EXPOSED_MOST


@pytest.mark.parametrize("unit", MORE_EXPOSED)
def test_what_starts_as_root_has_the_rights_it_needs(host: Host, unit: str) -> None:
    [listed] = host.check_output("systemctl list-units --plain --no-legend %s", f"{unit}.service").splitlines()
    assert exposure(host, listed.split()[0]) <= MORE_EXPOSED[unit]


def test_every_unit_of_the_platform_is_measured(host: Host) -> None:
    find = "find /etc/systemd/system -maxdepth 1 '(' -type f -name '*.service' -o -type d -name '*.service.d' ')'"
    names = [Path(path).name for path in host.check_output(find).split()]
    configured = {name.partition(".service")[0].partition("@")[0] for name in names}
    of_the_lab = {"ssh-host-keys"}
    assert configured - of_the_lab == {unit.partition("@")[0] for unit in [*LOCKED_IN, *MORE_EXPOSED]}


@pytest.mark.parametrize("unit", RUNS_UNPRIVILEGED)
def test_a_process_can_never_gain_rights(host: Host, unit: str) -> None:
    pid = host.check_output("systemctl show --property MainPID --value %s", unit)
    status = dict(line.split(":\t", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines())
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert {int(status[set_], 16) for set_ in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}


@pytest.mark.parametrize("unit", BOUNDS)
def test_a_unit_has_its_bounds(host: Host, unit: str) -> None:
    shown = host.check_output("systemctl show --property %s %s", ",".join(BOUNDS[unit]), unit)
    assert dict(line.split("=", 1) for line in shown.splitlines()) == BOUNDS[unit]


def test_the_journal_bounds_every_other_unit(host: Host) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf").splitlines()
    assert [line for line in settings if line.startswith("RateLimit")] == [
        "RateLimitIntervalSec=30s",
        "RateLimitBurst=10000",
    ]


def test_nginx_has_the_connections_that_its_limits_promise(host: Host) -> None:
    settings = [line.strip() for line in host.check_output("nginx -T 2>/dev/null").splitlines()]
    assert [line for line in settings if line.startswith("worker_connections")] == ["worker_connections 4096;"]
    # In a container systemd cannot give more than it has.
    most = open_files(host, "1")[1]
    for pid in host.check_output("pgrep --exact nginx").split():
        assert open_files(host, pid)[0] == min(65536, most)


def open_files(host: Host, pid: str) -> tuple[int, int]:
    """How many files a process may have open, and how many at most."""
    limits = host.file(f"/proc/{pid}/limits").content_string
    [(soft, hard)] = re.findall(r"^Max open files +(\d+) +(\d+)", limits, re.MULTILINE)
    return int(soft), int(hard)


def test_the_server_cannot_take_all_memory(host: Host) -> None:
    assert host.check_output("systemctl show --property MemoryMax --value prefect-server") != "infinity"


def test_security_updates_come_by_themselves(host: Host) -> None:
    assert host.service("apt-daily-upgrade.timer").is_running
    assert host.service("apt-daily-upgrade.timer").is_enabled
    settings = host.check_output("apt-config dump --format '%f=%v%n'").splitlines()
    assert "APT::Periodic::Unattended-Upgrade=1" in settings
    assert "APT::Periodic::Update-Package-Lists=1" in settings
    assert any("security" in line.lower() for line in settings if line.startswith("Unattended-Upgrade::"))
