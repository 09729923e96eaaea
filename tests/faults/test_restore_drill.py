"""The drill restores the last backup and tells what it found; a backup that cannot be restored makes it fail."""

import json
from collections.abc import Iterator

import pytest
from programs import BACKUP_REPORT
from restoring import failed, make
from testinfra.host import Host

BACKUPS, SCRATCH = "/var/lib/pgbackrest/backup", "/var/lib/pgbackrest-drill/data"
REPOSITORY = f"{BACKUPS}/prefect"
UNIT = "pgbackrest-drill.service"


def last(host: Host) -> dict:
    """How the last drill ended."""
    return json.loads(host.file("/var/lib/pgbackrest-drill/last.json").content_string)


def test_the_last_backup_can_be_restored(host: Host) -> None:
    said = make("restore-drill")
    assert "passed in" in said
    assert "flow runs, " in said
    assert last(host)["passed"]
    assert not host.file(SCRATCH).exists
    assert host.run("pgrep --full %s", f"^/usr/lib/postgresql/.*{SCRATCH}").rc == 1
    assert "drill: 2" in make("status")


@pytest.fixture
def broken_backup(host: Host) -> Iterator[None]:
    """The files of the backups are gone, the list of them is not."""
    hidden = f"{REPOSITORY}-hidden"
    host.check_output("mkdir %s", hidden)
    host.check_output(f"find {REPOSITORY} -name pg_data -printf '%P\\n' | sed 's:/.*::' >{hidden}/labels")
    host.check_output(f"xargs -I LABEL mv {REPOSITORY}/LABEL/pg_data {hidden}/LABEL <{hidden}/labels")
    yield
    host.check_output(f"xargs -I LABEL mv {hidden}/LABEL {REPOSITORY}/LABEL/pg_data <{hidden}/labels")
    host.check_output("rm -r %s", hidden)
    host.check_output("systemctl start %s", UNIT)
    assert last(host)["passed"]


def test_a_backup_that_cannot_be_restored_is_told(host: Host, broken_backup: None) -> None:
    assert host.run("systemctl start %s", UNIT).rc != 0
    assert not last(host)["passed"]
    assert "PROBLEM: drill: " in host.check_output(BACKUP_REPORT)
    assert not host.file(SCRATCH).exists


@pytest.fixture
def missing_backup(host: Host) -> Iterator[None]:
    """The repository has no backup."""
    host.check_output("mv %s %s-hidden", BACKUPS, BACKUPS)
    yield
    host.check_output("rm -rf %s", BACKUPS)
    host.check_output("mv %s-hidden %s", BACKUPS, BACKUPS)


def test_a_missing_backup_is_a_problem(missing_backup: None) -> None:
    said = failed("status")
    assert "repository 1: " in said
    assert "make provision ENV=lab prepares it anew" in " ".join(said.split())
