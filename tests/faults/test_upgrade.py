"""`make upgrade` with a migration: all that was there is there after, whatever goes wrong.

The tests go on from one another: the lab goes back to an older Prefect with another schema, and comes forward again.
"""

import os
import re
import signal
import threading
from collections.abc import Iterator

import pytest
from restoring import command, refused
from upgrading import ENDED, LOCKED, OLDER, Platform, make, measure
from waiting import until


def test_the_way_back_keeps_the_data(older_platform: Platform) -> None:
    older_platform.has(older_platform.data_before)
    older_platform.works(OLDER)


def test_provision_does_not_upgrade(older_platform: Platform) -> None:
    answer = make("provision")
    assert answer.code != 0
    answer.line("failed:", "this checkout has another lock", "make upgrade")
    assert re.search(r"changed=0 ", answer.output)
    assert older_platform.version() == OLDER


@pytest.fixture
def no_checksums(older_platform: Platform) -> None:
    """A cluster as an older platform made it."""
    host = older_platform.host
    version = host.check_output("pg_lsclusters --no-header").split()[0]
    program, data = f"/usr/lib/postgresql/{version}/bin/pg_checksums", f"/var/lib/postgresql/{version}/main"
    host.check_output(f"systemctl stop prefect-server postgresql@{version}-main")
    host.check_output(f"runuser -u postgres -- {program} --disable --pgdata={data}")
    host.check_output(f"systemctl start postgresql@{version}-main prefect-server")
    assert older_platform.sql("SHOW data_checksums") == "off"


@pytest.fixture
def refused_migrations(older_platform: Platform) -> Iterator[None]:
    """A database that takes no change of its schema."""
    older_platform.sql(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no change of the schema today'; END $$"
    )
    older_platform.sql("CREATE EVENT TRIGGER refused ON ddl_command_start EXECUTE FUNCTION refuse()")
    yield
    older_platform.sql("DROP EVENT TRIGGER refused")
    older_platform.sql("DROP FUNCTION refuse()")


def test_a_migration_that_fails_leaves_the_older_one_with_all_its_data(
    older_platform: Platform, refused_migrations: None, figures: dict[str, object]
) -> None:
    data, schema = older_platform.data(), older_platform.schema()
    late = older_platform.start(seconds_ahead=20)
    answer = measure(figures, "upgrade")
    assert answer.code != 0
    answer.line("failed:", "runs as it did before", "no change of the schema today")
    assert older_platform.schema() == schema
    older_platform.has(data)
    older_platform.completes(late)
    older_platform.works(OLDER)


def test_an_upgrade_that_was_cut_off_is_mended_by_the_next(
    older_platform: Platform, no_checksums: None, figures: dict[str, object]
) -> None:
    data, late = older_platform.data(), older_platform.start(seconds_ahead=60)
    process = command("upgrade")
    threading.Thread(target=process.communicate, daemon=True).start()
    # While it is copied, nobody can sign in to the database; before, PostgreSQL is stopped for its checksums.
    copied = "SELECT count(*) FROM pg_database WHERE datname IN ('prefect', 'prefect_before') AND datallowconn"
    ask = f'runuser -u postgres -- psql -qtA -d postgres -c "{copied}"'
    until(lambda: older_platform.host.run(ask).stdout.strip() == "2", 300, "the data is copied")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not older_platform.host.service("prefect-server").is_running
    # As if the server had been told, after the copy, that a run has ended
    told = f"UPDATE flow_run SET updated = now() WHERE id = (SELECT id FROM flow_run WHERE {ENDED} LIMIT 1)"  # noqa: S608
    older_platform.sql(told)
    assert "would lose 1 flow runs" in refused("upgrade")
    assert "`make upgrade ENV=lab`" in refused("provision")
    assert "`make upgrade ENV=lab`" in refused("restore")
    make("status").line("has not ended", "make upgrade")
    answer = measure(figures, "upgrade", "OVERWRITE=1")
    assert answer.code == 0, answer.output
    older_platform.has(data)
    older_platform.completes(late)
    older_platform.works(LOCKED)
    assert older_platform.sql("SHOW data_checksums") == "on"
