"""`make upgrade` to the release before the locked one, and `make rollback-platform`: all that was there is there after.

The tests go on from one another: the lab goes to the release before, and comes back.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from testinfra.host import Host
from upgrading import LOCKED, Platform, locks_of, make, measure, version_in


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that name locks of the last Prefect before the locked one that the index offers."""
    return locks_of(tmp_path_factory.mktemp("previous"), f"prefect<{LOCKED}")


@pytest.fixture(scope="module")
def platform(host: Host, client: SyncPrefectClient) -> Platform:
    """The lab, with runs in it."""
    return Platform.with_runs(host, client)


@pytest.fixture
def failing_proof(platform: Platform) -> Iterator[None]:
    """A canary that takes a row away, and then cannot run."""
    platform.sql(
        "CREATE TABLE ours AS SELECT 'here' AS text;"
        "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
        "$$ BEGIN DELETE FROM ours; RETURN NULL; END $$;"
        "CREATE TRIGGER taken AFTER INSERT ON flow FOR EACH ROW WHEN (NEW.name = 'platform-canary') "
        "EXECUTE FUNCTION take();"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT 1 FROM flow WHERE id = NEW.flow_id AND name = 'platform-canary') "
        "AND NOT EXISTS (SELECT 1 FROM ours) THEN RAISE EXCEPTION 'no canary today'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER refused BEFORE INSERT ON flow_run FOR EACH ROW EXECUTE FUNCTION refuse();"
        'GRANT SELECT ON ours TO "prefect-server"'
    )
    yield
    platform.sql(
        "DROP TRIGGER taken ON flow; DROP TRIGGER refused ON flow_run; DROP FUNCTION take, refuse; DROP TABLE ours"
    )


def test_a_proof_that_fails_brings_back_the_data_of_before(
    platform: Platform, previous: Path, failing_proof: None, figures: dict[str, object]
) -> None:
    data = platform.data()
    answer = measure(figures, "upgrade", "CONFIRM=1", locks=previous)
    assert answer.code != 0
    answer.line("failed:", "runs as it did before", "Run the canary on every pool")
    # The canary was refused because the row was gone, so this is the copy.
    assert platform.host.check_output("journalctl --unit=prefect-server --output=cat --grep=%s", "no canary today")
    assert platform.sql("SELECT text FROM ours") == "here"
    platform.has(data)
    platform.works(LOCKED)


@pytest.fixture
def held(platform: Platform) -> Iterator[Callable[[], None]]:
    """Work queues that cannot go on, until this is called."""
    platform.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no queue goes on today'; END $$;"
        "CREATE TRIGGER refused BEFORE UPDATE ON work_queue FOR EACH ROW "
        "WHEN (OLD.is_paused AND NOT NEW.is_paused) EXECUTE FUNCTION refuse()"
    )

    def let_go() -> None:
        platform.sql("DROP FUNCTION IF EXISTS refuse CASCADE")

    yield let_go
    let_go()


def test_what_fails_after_the_proof_is_done_by_the_next(
    platform: Platform, previous: Path, held: Callable[[], None]
) -> None:
    data = platform.data()
    answer = make("upgrade", "CONFIRM=1", locks=previous)
    assert answer.code != 0
    answer.line("failed:", "Resume the queues")
    answer.line("failed:", "`make upgrade ENV=lab` continues from there")
    # What the new server was told must not get lost.
    late = platform.start()
    held()
    answer = make("upgrade", locks=previous)
    assert answer.code == 0, answer.output
    answer.line("there is nothing to upgrade")
    platform.has(data)
    platform.completes(late)
    platform.works(version_in(previous.parent / "server.txt"))


def test_a_second_upgrade_changes_nothing(platform: Platform, previous: Path) -> None:
    answer = make("upgrade", locks=previous)
    assert answer.code == 0, answer.output
    answer.line("there is nothing to upgrade")
    assert re.search(r"changed=0 ", answer.output)
    assert not re.search(r"changed=[1-9]", answer.output)


def test_the_way_back_from_an_upgrade(platform: Platform, figures: dict[str, object]) -> None:
    data = platform.data()
    answer = measure(figures, "rollback-platform")
    assert answer.code == 0, answer.output
    platform.has(data)
    platform.works(LOCKED)
