"""`make upgrade` and `make rollback-platform` on the lab: all that was there is there after, whatever goes wrong.

The tests go on from one another: the lab goes back to an older Prefect with another schema, comes forward again, goes
to the release before the locked one, and comes back by `make rollback-platform`.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import requests
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled
from restoring import command, refused
from speed import speed
from testinfra.host import Host
from waiting import until

ROOT = Path(__file__).parents[2]
# The last release before the locked one with another schema of the database, so that there is something to migrate
OLDER = "3.8.6"
ENDED = "state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')"
# What has an id and must not get lost
DATA = (
    f"SELECT id || ' ' || state_name FROM flow_run WHERE {ENDED}",  # noqa: S608
    f"SELECT id FROM log WHERE flow_run_id IN (SELECT id FROM flow_run WHERE {ENDED})",  # noqa: S608
    "SELECT id || ' ' || name FROM deployment",
    "SELECT id || ' ' || name FROM block_document",
    "SELECT id || ' ' || name FROM automation",
)


def version_in(lock: Path) -> str:
    """The Prefect of a lock."""
    return re.search(r"^prefect==(\S+)", lock.read_text(), re.MULTILINE)[1]


LOCKED = version_in(ROOT / "requirements/server.txt")


@dataclass
class Answer:
    """How a command of the Makefile ended, and what it wrote."""

    code: int
    output: str = field(repr=False)

    def line(self, *words: str) -> str:
        """The line that holds all of these words."""
        found = [line for line in self.output.splitlines() if all(word in line for word in words)]
        assert found, self.output
        return found[-1]


def make(*arguments: str, locks: Path | None = None) -> Answer:
    """What a command of the Makefile answers, with the checkout's locks or with others."""
    process = command(*arguments, settings=locks)
    output, _ = process.communicate(timeout=900 * speed())
    return Answer(process.returncode, output)


def locks_of(folder: Path, prefect: str) -> Path:
    """Settings that name locks of another Prefect."""
    for name in ("server", "worker"):
        wanted = (ROOT / f"requirements/{name}.in").read_text()
        (folder / f"{name}.in").write_text(wanted.replace(f"prefect=={LOCKED}", prefect))
        lock = folder / f"{name}.txt"
        lock.write_text((ROOT / f"requirements/{name}.txt").read_text())
        options = ["--quiet", "--universal", "--generate-hashes", "--no-header", "--python-version", "3.11"]
        subprocess.run(
            ["uv", "pip", "compile", *options, f"{name}.in", "--output-file", lock.name], cwd=folder, check=True
        )
    settings = folder / "settings.json"
    settings.write_text(json.dumps({f"prefect_{lock.stem}_lock": str(lock) for lock in folder.glob("*.txt")}))
    return settings


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that name locks of the older Prefect."""
    return locks_of(tmp_path_factory.mktemp("older"), f"prefect=={OLDER}")


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that name locks of the last Prefect before the locked one that the index offers."""
    return locks_of(tmp_path_factory.mktemp("previous"), f"prefect<{LOCKED}")


@dataclass
class Platform:
    """The lab, as these tests look at it."""

    host: Host
    client: SyncPrefectClient
    deployment: UUID
    data_before: list[set[str]] = field(default_factory=list, repr=False)

    def version(self) -> str:
        return self.client.request("GET", "/admin/version").json()

    def sql(self, query: str, database: str = "prefect") -> str:
        return self.host.check_output("runuser -u postgres -- psql -qtA -d %s -c %s", database, query)

    def schema(self) -> str:
        return self.sql("SELECT version_num FROM alembic_version")

    def data(self) -> list[set[str]]:
        """What must not get lost; there is some of each."""
        found = [set(self.sql(query).splitlines()) for query in DATA]
        assert all(found), dict(zip(DATA, map(len, found), strict=True))
        return found

    def has(self, data: list[set[str]]) -> None:
        """All of this is there."""
        lost = {query: was - now for query, was, now in zip(DATA, data, self.data(), strict=True) if was - now}
        assert not lost

    def start(self, seconds_ahead: float = 0) -> FlowRun:
        when = datetime.now(UTC) + timedelta(seconds=seconds_ahead)
        return self.client.create_flow_run_from_deployment(self.deployment, state=Scheduled(scheduled_time=when))

    def completes(self, run: FlowRun) -> None:
        until(lambda: self.client.read_flow_run(run.id).state.is_final(), 120, f"the run {run.name} ends")
        state = self.client.read_flow_run(run.id).state
        assert state.is_completed(), f"{state.name}: {state.message}"

    def works(self, version: str) -> None:
        """It is of this version, a run completes, and an upgrade has left nothing behind."""
        assert self.version() == version
        self.completes(self.start())
        assert self.host.check_output("systemctl is-active prefect-server prefect-worker@default") == "active\nactive"
        assert self.sql("SELECT datname FROM pg_database WHERE datname LIKE '%before'") == ""
        assert self.sql("SELECT name FROM work_queue WHERE is_paused OR name LIKE '%canary%'") == ""
        assert self.sql("SELECT name FROM flow WHERE name LIKE '%canary%'") == ""
        assert not self.host.file("/opt/prefect/upgrade-under-way").exists


@pytest.fixture(scope="module")
def platform(host: Host, client: SyncPrefectClient, older: Path) -> Iterator[Platform]:
    """The lab with the older Prefect and runs in it; after the tests it is as it was."""
    flow = client.create_flow_from_name("upgrade-test")
    place = {"path": "/opt/prefect/canary", "entrypoint": "canary.py:canary"}
    platform = Platform(host, client, client.create_deployment(flow, "default", work_pool_name="default", **place))
    runs = [platform.start() for _ in range(3)]
    for run in runs:
        platform.completes(run)
    platform.data_before = platform.data()
    answer = make("upgrade", "CONFIRM=1", locks=older)
    assert answer.code == 0, answer.output
    yield platform
    if platform.version() != LOCKED:
        make("upgrade")
    client.delete_flow(flow)


def test_the_way_back_keeps_the_data(platform: Platform) -> None:
    platform.has(platform.data_before)
    platform.works(OLDER)


def test_provision_does_not_upgrade(platform: Platform) -> None:
    answer = make("provision")
    assert answer.code != 0
    answer.line("failed:", "this checkout has another lock", "make upgrade")
    assert re.search(r"changed=0 ", answer.output)
    assert platform.version() == OLDER


def command_lines() -> Iterator[str]:
    """Those of all processes, which everybody may read."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield process.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


class Watch(threading.Thread):
    """How long the API does not answer over HTTPS, and the command lines that tell its password."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds, self.telling, self.over = 0.0, set[str](), threading.Event()

    def run(self) -> None:
        url, ca = os.environ["PREFECT_API_URL"], os.environ["PREFECT_API_SSL_CERT_FILE"]
        _, password = os.environ["PREFECT_API_AUTH_STRING"].split(":", 1)
        last = time.monotonic()
        while not self.over.wait(0.5):
            self.telling |= {line.replace(password, "...") for line in command_lines() if password in line}
            try:
                answers = requests.get(f"{url}/ready", verify=ca, timeout=5).ok
            except requests.RequestException:
                answers = False
            if answers:
                last = time.monotonic()
            self.seconds = max(self.seconds, time.monotonic() - last)


@pytest.fixture
def measured(figures: dict[str, object]) -> Callable[..., Answer]:
    """Runs a command; how long it takes, and how long the API does not answer meanwhile, are among the figures.

    Nobody else on this machine learns the password meanwhile.
    """

    def measured(*arguments: str, locks: Path | None = None) -> Answer:
        watch, started = Watch(), time.monotonic()
        watch.start()
        answer = make(*arguments, locks=locks)
        watch.over.set()
        assert not watch.telling
        figures["took s"], figures["without API s"] = round(time.monotonic() - started), round(watch.seconds)
        return answer

    return measured


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
    platform: Platform, refused_migrations: None, measured: Callable[..., Answer]
) -> None:
    data, schema = platform.data(), platform.schema()
    late = platform.start(seconds_ahead=20)
    answer = measured("upgrade")
    assert answer.code != 0
    answer.line("failed:", "runs as it did before", "no change of the schema today")
    assert platform.schema() == schema
    platform.has(data)
    platform.completes(late)
    platform.works(OLDER)


def test_an_upgrade_that_was_cut_off_is_mended_by_the_next(platform: Platform, measured: Callable[..., Answer]) -> None:
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
    answer = measured("upgrade", "OVERWRITE=1")
    assert answer.code == 0, answer.output
    platform.has(data)
    platform.completes(late)
    platform.works(LOCKED)


def test_the_way_back_must_be_meant(platform: Platform) -> None:
    answer = make("rollback-platform")
    assert answer.code != 0
    answer.line("failed:", f"Prefect {OLDER} is older than the schema", "CONFIRM=1")
    assert platform.version() == LOCKED


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
    platform: Platform, previous: Path, failing_proof: None, measured: Callable[..., Answer]
) -> None:
    data = platform.data()
    answer = measured("upgrade", "CONFIRM=1", locks=previous)
    assert answer.code != 0
    answer.line("failed:", "runs as it did before", "A run on every pool")
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
    answer.line("failed:", "Let the work go on")
    answer.line("failed:", "`make upgrade` goes on from there")
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


def test_the_way_back_from_an_upgrade(platform: Platform, measured: Callable[..., Answer]) -> None:
    data = platform.data()
    answer = measured("rollback-platform")
    assert answer.code == 0, answer.output
    platform.has(data)
    platform.works(LOCKED)
