"""`make upgrade` and `make rollback-platform` on the lab: all that was there is there after, whatever goes wrong.

The tests go on from one another: the lab goes back to an older Prefect with another schema, and comes forward again.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import requests
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled
from restoring import command
from testinfra.host import Host
from waiting import until

ROOT = Path(__file__).parents[2]
# The last release before the locked one with another schema of the database, so that there is something to migrate
OLDER = "3.8.6"
LOCKED = re.search(r"^prefect==(\S+)", (ROOT / "requirements/server.txt").read_text(), re.MULTILINE)[1]


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
    output, _ = process.communicate(timeout=900)
    return Answer(process.returncode, output)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that name locks of the older Prefect."""
    folder = tmp_path_factory.mktemp("older")
    for name in ("server", "worker"):
        wanted = (ROOT / f"requirements/{name}.in").read_text()
        (folder / f"{name}.in").write_text(wanted.replace(f"prefect=={LOCKED}", f"prefect=={OLDER}"))
        lock = folder / f"{name}.txt"
        lock.write_text((ROOT / f"requirements/{name}.txt").read_text())
        options = ["--quiet", "--universal", "--generate-hashes", "--no-header", "--python-version", "3.11"]
        subprocess.run(
            ["uv", "pip", "compile", *options, f"{name}.in", "--output-file", lock.name], cwd=folder, check=True
        )
    settings = folder / "settings.json"
    settings.write_text(json.dumps({f"prefect_{lock.stem}_lock": str(lock) for lock in folder.glob("*.txt")}))
    return settings


@dataclass
class Platform:
    """The lab, as these tests look at it."""

    host: Host
    client: SyncPrefectClient
    deployment: UUID

    def version(self) -> str:
        return self.client.request("GET", "/admin/version").json()

    def sql(self, query: str, database: str = "prefect") -> str:
        return self.host.check_output("runuser -u postgres -- psql -qtA -d %s -c %s", database, query)

    def schema(self) -> str:
        return self.sql("SELECT version_num FROM alembic_version")

    def ended_runs(self) -> dict[str, str]:
        ended = "'COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'"
        rows = self.sql(f"SELECT id || ' ' || state_name FROM flow_run WHERE state_type IN ({ended})")  # noqa: S608
        return dict(row.split(" ", 1) for row in rows.splitlines())

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
    answer = make("upgrade", "CONFIRM=1", locks=older)
    assert answer.code == 0, answer.output
    yield platform
    if platform.version() != LOCKED:
        make("upgrade")
    client.delete_flow(flow)


def test_the_way_back_keeps_the_runs(platform: Platform) -> None:
    assert len(platform.ended_runs()) >= 3
    platform.works(OLDER)


def test_provision_does_not_upgrade(platform: Platform) -> None:
    answer = make("provision")
    assert answer.code != 0
    answer.line("failed:", "this checkout has another lock", "make upgrade")
    assert re.search(r"changed=0 ", answer.output)
    assert platform.version() == OLDER


class Outage(threading.Thread):
    """How long the API does not answer over HTTPS."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds, self.over = 0.0, threading.Event()

    def run(self) -> None:
        url, ca = os.environ["PREFECT_API_URL"], os.environ["PREFECT_API_SSL_CERT_FILE"]
        last = time.monotonic()
        while not self.over.wait(0.2):
            try:
                answers = requests.get(f"{url}/ready", verify=ca, timeout=5).ok
            except requests.RequestException:
                answers = False
            if answers:
                last = time.monotonic()
            self.seconds = max(self.seconds, time.monotonic() - last)


@pytest.fixture
def measured(figures: dict[str, object]) -> Callable[..., Answer]:
    """Runs a command; how long it takes, and how long the API does not answer meanwhile, are among the figures."""

    def measured(*arguments: str) -> Answer:
        outage, started = Outage(), time.monotonic()
        outage.start()
        answer = make(*arguments)
        outage.over.set()
        figures["took s"], figures["without API s"] = round(time.monotonic() - started), round(outage.seconds)
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
    runs, schema = platform.ended_runs(), platform.schema()
    late = platform.start(seconds_ahead=20)
    answer = measured("upgrade")
    assert answer.code != 0
    answer.line("failed:", "runs as it did before", "no change of the schema today")
    assert platform.schema() == schema
    assert platform.ended_runs().items() >= runs.items()
    platform.completes(late)
    platform.works(OLDER)


def test_an_upgrade_that_was_cut_off_is_mended_by_the_next(platform: Platform, measured: Callable[..., Answer]) -> None:
    runs, late = platform.ended_runs(), platform.start(seconds_ahead=40)
    process = command("upgrade")
    threading.Thread(target=process.communicate, daemon=True).start()
    # Nobody stays connected to the database that is copied.
    copied = "SELECT 1 FROM pg_database WHERE datname = 'prefect_before'"
    until(lambda: platform.sql(copied, database="postgres"), 300, "the data is copied")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not platform.host.service("prefect-server").is_running
    answer = measured("upgrade")
    assert answer.code == 0, answer.output
    assert platform.ended_runs().items() >= runs.items()
    platform.completes(late)
    platform.works(LOCKED)


def test_a_second_upgrade_changes_nothing(platform: Platform) -> None:
    answer = make("upgrade")
    assert answer.code == 0, answer.output
    answer.line("there is nothing to upgrade")
    assert re.search(r"changed=0 ", answer.output)
    assert not re.search(r"changed=[1-9]", answer.output)


def test_the_way_back_must_be_meant(platform: Platform) -> None:
    answer = make("rollback-platform")
    assert answer.code != 0
    answer.line("failed:", f"Prefect {OLDER} is older than the schema", "CONFIRM=1")
    assert platform.version() == LOCKED
