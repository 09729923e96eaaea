"""The database is lost, and comes back as it was at a moment: exactly the runs up to then are there."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate
from prefect.states import AwaitingRetry, Completed, Running, Scheduled
from programs import BACKUP_REPORT
from restoring import TAG, add_runs, command, failed, interrupt, make, moment, refused, runs
from testinfra.host import Host
from waiting import until

DUMP = "db_dump/shop-postgres"
DATA = "/var/lib/postgresql"
ANSWERS = "runuser -u postgres -- psql --no-psqlrc --command 'SELECT 1' prefect"


@pytest.fixture(autouse=True)
def clean(client: SyncPrefectClient) -> None:
    """No run of an earlier test."""
    for run in runs(client):
        client.delete_flow_run(run)


def real_run(client: SyncPrefectClient) -> str:
    """A run that a worker has carried out."""
    deployment = client.read_deployment_by_name(DUMP)
    run = client.create_flow_run_from_deployment(deployment.id, tags=[TAG])
    until(lambda: client.read_flow_run(run.id).state.is_final(), within=180, what=f"{run.name} ends")
    assert client.read_flow_run(run.id).state.is_completed()
    return str(run.id)


def last_moment(host: Host) -> str:
    """A moment after which nothing is written any more."""
    host.check_output("systemctl stop prefect-worker@default prefect-server")
    for setting in ("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"):
        host.check_output("runuser -u postgres -- psql --no-psqlrc --quiet --command %s", setting)
    return moment()


def healthy(host: Host) -> None:
    """All units run, and the backups are fine."""
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""
    for unit in ("prefect-server", "prefect-worker@default"):
        assert host.service(unit).is_running
    report = host.run(BACKUP_REPORT)
    assert report.rc == 0, report.stdout


def test_exactly_the_runs_up_to_the_moment_are_there(client: SyncPrefectClient, host: Host, figures) -> None:
    add_runs(client, 20, Completed())
    real_run(client)
    make("backup")
    add_runs(client, 5, Completed())
    under_way = add_runs(client, 50, Running())
    # With it, one more than the server ends at a time.
    under_way += add_runs(client, 1, AwaitingRetry(scheduled_time=datetime.now(UTC) + timedelta(days=1)))
    deployment = client.read_deployment_by_name(DUMP).id
    soon = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(seconds=20))
    due = client.create_flow_run_from_deployment(deployment, tags=[TAG], state=soon).id
    before = runs(client)
    then = moment()
    add_runs(client, 48, Completed())
    until(lambda: client.read_flow_run(due).state.is_completed(), within=180, what="what is due runs")
    real_run(client)
    real_run(client)
    client.set_flow_run_state(under_way[0].id, Completed(), force=True)
    assert len(runs(client)) == len(before) + 50
    nothing_after = last_moment(host)
    # What is in the archive survives the disk.
    host.check_output("runuser -u postgres -- pgbackrest --stanza=prefect check")
    host.check_output("sh -c 'rm -r %s/*/main'", DATA)
    assert "was not reached" in refused("restore", f"TIME={nothing_after}")

    started = time.monotonic()
    said = make("restore", f"TIME={then}")
    figures["took s"] = round(time.monotonic() - started)

    assert f"Restored: {then}." in said
    # The process of what was under way is gone with the moment it belonged to.
    assert runs(client) == before | {str(run.id): "CRASHED" for run in under_way}
    messages = {client.read_flow_run(run.id).state.message for run in under_way}
    assert messages == {"Was under way at the moment that was restored."}
    # What has run since then would run again.
    assert f"{DUMP}: 1" in said
    assert "make resume" in failed("status")
    assert client.read_flow_run(due).run_count == 0
    make("resume", "CANCEL=1")
    assert client.read_flow_run(due).state.is_cancelled()
    real_run(client)
    healthy(host)
    make("status")


def test_a_restore_that_was_interrupted_goes_on(client: SyncPrefectClient, host: Host) -> None:
    add_runs(client, 3, Completed())
    before = runs(client)
    restore = command("restore", "OVERWRITE=1")
    until(lambda: host.run(ANSWERS).rc != 0, within=300, what="PostgreSQL is stopped")
    interrupt(restore)

    make("restore", "START=1")

    assert runs(client) == before
    real_run(client)
    healthy(host)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["flow runs", "OVERWRITE=1"]),
        (["TIME=soon"], ["TIME=soon is not a valid time", "TIME='2026-11-20 14:00:00+00'"]),
        (["TIME=2020-01-01 00:00:00+00"], ["is not in the backups: they go from 20"]),
        (["TIME=2100-01-01 00:00:00+00"], ["is not in the backups: they go from 20"]),
    ],
    ids=["newer data", "no moment", "before the first backup", "yet to come"],
)
def test_what_cannot_be_or_would_lose_data_is_refused(
    client: SyncPrefectClient, host: Host, arguments: list[str], words: list[str]
) -> None:
    add_runs(client, 1, Completed())
    before = runs(client)
    started = host.check_output("systemctl show --property InvocationID prefect-server 'postgresql@*'")
    line = refused("restore", *arguments)
    assert [word for word in words if word not in line] == []
    assert host.check_output("systemctl show --property InvocationID prefect-server 'postgresql@*'") == started
    assert runs(client) == before
    assert not host.file("/run/prefect-restore").exists


def test_a_moment_without_an_offset_is_in_the_time_zone_of_the_host(host: Host) -> None:
    before = host.check_output("readlink /etc/localtime")
    host.check_output("ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime")
    try:
        line = refused("restore", "TIME=2020-01-01 09:00:00")
    finally:
        host.check_output("ln -sf %s /etc/localtime", before)
    assert "TIME=2020-01-01 09:00:00 is 2020-01-01 00:00:00+00, which is not in the backups" in line


def test_runs_that_are_newer_than_the_moment_are_not_overwritten(client: SyncPrefectClient) -> None:
    then = moment()
    add_runs(client, 1, Completed())
    line = refused("restore", f"TIME={then}")
    assert f"flow runs that changed after {then}" in line
    assert "OVERWRITE=1" in line
    assert os.environ["PREFECT_API_AUTH_STRING"].split(":", 1)[1] not in line


def test_another_moment_than_that_of_an_interrupted_restore_is_asked_for(client: SyncPrefectClient, host: Host) -> None:
    host.check_output("sh -c 'date --date -1min +%s | head --bytes -1 >/run/prefect-restore'")
    add_runs(client, 1, Completed())
    line = refused("restore", "TIME=1 minute ago")
    host.check_output("rm /run/prefect-restore")
    assert "The restore that was interrupted was TIME='20" in line


def test_what_is_newer_need_not_be_a_run(client: SyncPrefectClient) -> None:
    then = moment()
    client.create_variable(VariableCreate(name="newer_than_the_moment", value=1))
    line = refused("restore", f"TIME={then}")
    client.delete_variable_by_name("newer_than_the_moment")
    assert " has 1 variables" in line
