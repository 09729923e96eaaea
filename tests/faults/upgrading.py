"""`make upgrade` and `make rollback-platform` on the lab, and what must not get lost meanwhile."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import requests
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled
from programs import PROGRAMS
from restoring import command
from speed import speed
from testinfra.host import Host
from waiting import until

ROOT = Path(__file__).parents[2]
# The release of the commit before, whose database has another schema, so that there is something to migrate
OLDER = "3.8.8"
# As on any host; in the lab a worker that stops cancels after 30 s what still runs
PATIENT = {"prefect_worker_drain_seconds": 300}
# What it takes, and does not work with
OLDER_LIMITS = ("fastapi<0.151", "sqlalchemy<2.1")
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


def locks_of(folder: Path, *prefect: str) -> Path:
    """Settings that name locks of another Prefect, with what it needs besides."""
    for name in ("server", "worker"):
        source = (ROOT / f"requirements/{name}.in").read_text()
        (folder / f"{name}.in").write_text(source.replace(f"prefect=={LOCKED}", "\n".join(prefect)))
        lock = folder / f"{name}.txt"
        lock.write_text((ROOT / f"requirements/{name}.txt").read_text())
        options = ["--quiet", "--universal", "--generate-hashes", "--no-header", "--python-version", "3.11"]
        subprocess.run(
            ["uv", "pip", "compile", *options, f"{name}.in", "--output-file", lock.name], cwd=folder, check=True
        )
    settings = folder / "settings.json"
    locks = {f"prefect_{lock.stem}_lock": str(lock) for lock in folder.glob("*.txt")}
    settings.write_text(json.dumps(locks | PATIENT))
    return settings


@dataclass
class Platform:
    """The lab, as these tests look at it."""

    host: Host
    client: SyncPrefectClient
    deployment: UUID
    data_before: list[set[str]] = field(default_factory=list, repr=False)

    @classmethod
    def with_runs(cls, host: Host, client: SyncPrefectClient) -> "Platform":
        """The lab, with a deployment and some runs of it."""
        flow = client.create_flow_from_name("upgrade-test")
        place = {"path": f"{PROGRAMS}/canary", "entrypoint": "flow.py:canary"}
        platform = cls(host, client, client.create_deployment(flow, "default", work_pool_name="default", **place))
        for run in [platform.start() for _ in range(3)]:
            platform.completes(run)
        return platform

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


def measure(figures: dict[str, object], *arguments: str, locks: Path | None = None) -> Answer:
    """Run a command; how long it takes, and how long the API does not answer meanwhile, are among the figures.

    Nobody else on this machine learns the password meanwhile.
    """
    watch, started = Watch(), time.monotonic()
    watch.start()
    answer = make(*arguments, locks=locks)
    watch.over.set()
    assert not watch.telling
    figures["took s"], figures["without API s"] = round(time.monotonic() - started), round(watch.seconds)
    return answer
