"""`make upgrade` with a migration: all that was there is there after, whatever goes wrong.

The tests go on from one another: the lab goes back to an older Prefect with another schema, and comes forward again.
"""

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from restoring import command, refused
from testinfra.host import Host
from upgrading import ENDED, LOCKED, Platform, locks_of, make, measure
from waiting import until

# The last release before the locked one with another schema of the database, so that there is something to migrate
OLDER = "3.8.6"


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that name locks of the older Prefect."""
    return locks_of(tmp_path_factory.mktemp("older"), f"prefect=={OLDER}")


@pytest.fixture(scope="module")
def platform(host: Host, client: SyncPrefectClient, older: Path) -> Platform:
    """The lab with the older Prefect and runs in it."""
    platform = Platform.with_runs(host, client)
    platform.data_before = platform.data()
    answer = make("upgrade", "CONFIRM=1", locks=older)
    assert answer.code == 0, answer.output
    return platform


def test_the_way_back_keeps_the_data(platform: Platform) -> None:
    platform.has(platform.data_before)
    platform.works(OLDER)


def test_provision_does_not_upgrade(platform: Platform) -> None:
    answer = make("provision")
    assert answer.code != 0
    answer.line("failed:", "this checkout has another lock", "make upgrade")
    assert re.search(r"changed=0 ", answer.output)
    assert platform.version() == OLDER


@pytest.fixture
def refused_migrations(platform: Platform) -> Iterator[None]:
    """A database that takes no change of its schema."""
    platform.sql(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no change of the schema today'; END $$"
    )
    platform.sql("CREATE EVENT TRIGGER refused ON ddl_command_start EXECUTE FUNCTION refuse()")
    yield
    platform.sql("DROP EVENT TRIGGER refused")
    platform.sql("DROP FUNCTION refuse()")


def test_a_migration_that_fails_leaves_the_older_one_with_all_its_data(
    platform: Platform, refused_migrations: None, figures: dict[str, object]
) -> None:
    data, schema = platform.data(), platform.schema()
    late = platform.start(seconds_ahead=20)
    answer = measure(figures, "upgrade")
    assert answer.code != 0
    answer.line("failed:", "runs as it did before", "no change of the schema today")
    assert platform.schema() == schema
    platform.has(data)
    platform.completes(late)
    platform.works(OLDER)


def test_an_upgrade_that_was_cut_off_is_mended_by_the_next(platform: Platform, figures: dict[str, object]) -> None:
    data, late = platform.data(), platform.start(seconds_ahead=60)
    process = command("upgrade")
    threading.Thread(target=process.communicate, daemon=True).start()
    # While it is copied, nobody can sign in to the database.
    copied = "SELECT count(*) FROM pg_database WHERE datname IN ('prefect', 'prefect_before') AND datallowconn"
    until(lambda: platform.sql(copied, database="postgres") == "2", 300, "the data is copied")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not platform.host.service("prefect-server").is_running
    # As if the server had been told, after the copy, that a run has ended
    platform.sql(f"UPDATE flow_run SET updated = now() WHERE id = (SELECT id FROM flow_run WHERE {ENDED} LIMIT 1)")  # noqa: S608
    assert "would lose 1 flow runs" in refused("upgrade")
    assert "`make upgrade`" in refused("provision")
    assert "`make upgrade`" in refused("restore")
    make("status").line("has not ended", "make upgrade")
    answer = measure(figures, "upgrade", "OVERWRITE=1")
    assert answer.code == 0, answer.output
    platform.has(data)
    platform.completes(late)
    platform.works(LOCKED)


def test_the_way_back_must_be_meant(platform: Platform) -> None:
    answer = make("rollback-platform")
    assert answer.code != 0
    answer.line("failed:", f"Prefect {OLDER} is older than the schema", "CONFIRM=1")
    assert platform.version() == LOCKED
