"""Every change goes into an encrypted archive, backups come by themselves, and the last one can be restored."""

import json
import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from programs import BACKUP_REPORT
from testinfra.host import Host
from waiting import until

REPOSITORY = "/var/lib/pgbackrest"
TIMERS = ["pgbackrest-backup@full", "pgbackrest-backup@incr", "pgbackrest-check", "pgbackrest-drill"]


@pytest.fixture
def info(host: Host) -> dict:
    """What pgBackRest says of the repositories."""
    [stanza] = json.loads(host.check_output("runuser -u postgres -- pgbackrest --output=json info"))
    return stanza


@pytest.mark.parametrize("timer", TIMERS)
def test_a_timer_runs_now_and_after_a_restart(host: Host, timer: str) -> None:
    assert host.service(f"{timer}.timer").is_running
    assert host.service(f"{timer}.timer").is_enabled


def test_there_is_a_backup_of_the_database(info: dict) -> None:
    assert info["name"] == "prefect"
    assert info["status"]["code"] == 0
    assert info["backup"]


def test_changes_reach_the_archive(host: Host) -> None:
    check = host.run("runuser -u postgres -- pgbackrest --stanza=prefect check")
    assert check.rc == 0, check.stdout + check.stderr


def test_a_change_is_in_the_archive_after_minutes(host: Host) -> None:
    show = "runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --command 'SHOW archive_timeout'"
    assert host.check_output(show) == "5min"


def test_the_repository_is_encrypted(host: Host, info: dict) -> None:
    assert {repository["cipher"] for repository in info["repo"]} == {"aes-256-cbc"}
    heads = host.check_output("find %s -type f -size +0 -exec head --bytes 8 {} ';' -exec echo ';'", REPOSITORY)
    assert set(heads.splitlines()) == {"Salted__"}


def test_only_postgresql_can_read_it(host: Host, in_worker: Callable) -> None:
    assert host.check_output("stat --format '%%U %%a' /etc/pgbackrest.conf %s", REPOSITORY).splitlines() == [
        "postgres 600",
        "postgres 700",
    ]
    for path in ("/etc/pgbackrest.conf", f"{REPOSITORY}/backup"):
        assert "Permission denied" in in_worker("cat %s", path).stderr


def test_backups_that_are_due_at_once_wait_for_each_other(host: Host) -> None:
    both = host.run("systemctl start pgbackrest-backup@incr pgbackrest-backup@diff")
    assert both.rc == 0, both.stderr


def test_a_backup_tells_what_it_was_made_with(host: Host) -> None:
    host.check_output("systemctl start pgbackrest-backup@incr")
    [stanza] = json.loads(host.check_output("runuser -u postgres -- pgbackrest --output=json info"))
    annotation = stanza["backup"][-1]["annotation"]
    units = host.check_output("systemctl show --property ExecStart prefect-server prefect-worker@default")
    running = dict(re.findall(r"path=/opt/prefect/envs/(server|worker)-([0-9a-f]+)/", units))
    assert {name: annotation[name] for name in ("server", "worker")} == running
    releases = annotation["release"].split()
    assert releases
    assert set(releases) <= set(host.file("/opt/prefect/flows/releases").listdir())


def test_a_backup_that_fails_is_told_of(host: Host, told: Callable[[str], list[dict]]) -> None:
    kind = f"probe{uuid4().hex}"  # no type that pgBackRest knows
    unit = f"pgbackrest-backup@{kind}.service"
    assert host.run("systemctl start %s", unit).rc != 0
    host.check_output("systemctl reset-failed %s", unit)
    (message,) = until(lambda: told(unit), within=30, what="the failed backup is told of")
    assert message["message"] == f"Result: exit-code. What it said: journalctl --unit {unit}"
    said = host.check_output("journalctl --unit %s --output cat", unit)
    assert "ERROR: no backup in repository 1 (" in said


def test_the_report_finds_no_problem(host: Host) -> None:
    report = host.run(BACKUP_REPORT)
    assert report.rc == 0, report.stdout
    assert "repository 1: last backup" in report.stdout
    assert "archive: last segment" in report.stdout


@pytest.mark.parametrize("unit", ["pgbackrest-backup@full", "pgbackrest-check", "pgbackrest-drill"])
def test_the_end_of_a_unit_leaves_the_memory_of_the_live_cluster_alone(host: Host, unit: str) -> None:
    # It runs as the same user: RemoveIPC would take the cluster's shared memory away.
    assert host.check_output("systemctl show --property RemoveIPC --value %s", unit) == "no"


def test_a_failure_is_told(host: Host) -> None:
    for unit in ("pgbackrest-backup@full", "pgbackrest-check", "pgbackrest-drill"):
        told = host.check_output("systemctl show --property OnFailure --value %s.service", unit)
        assert told == f"notify@{unit}.service.service"
