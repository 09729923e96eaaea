"""The leases of runs outlive an outage of the server and a cut of the network, until the runs can have renewed them."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Crashed, Running
from prefect.types._concurrency import ConcurrencyLeaseHolder
from waiting import until
from warm_server import Server

from host import leases

OVER = timedelta(seconds=-1)


class Leases:
    """The storage, as it is some seconds after the server has started."""

    def __init__(self, folder: Path) -> None:
        self._storage = leases.ConcurrencyLeaseStorage(folder)
        self._folder = folder

    def add(self, renewed_before: float) -> UUID:
        """A lease that is over, and was renewed last so many seconds before the start."""
        lease = asyncio.run(self._storage.create_lease([uuid4()], OVER)).id
        at = leases.STARTED - renewed_before
        os.utime(self._folder / f"{lease}.json", (at, at))
        return lease

    def renew(self, lease: UUID) -> bool:
        """What a run is answered."""
        return asyncio.run(self._storage.renew_lease(lease, timedelta(seconds=300)))

    def expired(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[UUID]:
        """What is over so many seconds after the start."""
        now = leases.STARTED + seconds
        monkeypatch.setattr("time.time", lambda: now)
        return asyncio.run(self._storage.read_expired_lease_ids())


def test_what_ran_out_in_an_outage_can_still_be_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Leases(tmp_path)
    lives, dead = storage.add(600), storage.add(600)
    assert storage.expired(monkeypatch, 15) == []
    assert storage.renew(lives)
    assert storage.expired(monkeypatch, 400) == [dead]


def test_what_runs_out_later_is_over_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Leases(tmp_path)
    lease = storage.add(-1)
    assert storage.expired(monkeypatch, 15) == [lease]


@pytest.fixture
def client(server_with_services: Server) -> Iterator[SyncPrefectClient]:
    """A client of a server that keeps its leases by this module, and looks every second which are over."""
    server = server_with_services
    with (
        temporary_settings({PREFECT_API_URL: server.url, PREFECT_API_AUTH_STRING: server.auth}),
        get_client(sync_client=True) as client,
    ):
        yield client


@pytest.fixture
def held(client: SyncPrefectClient, server_with_services: Server) -> Callable[..., Callable[[], bool]]:
    """Take a slot by a lease that has been over for some seconds; gives whether the slot is still taken."""
    environment = Path(f"/proc/{server_with_services.process}/environ").read_text().split("\0")
    [home] = [value for name, _, value in (line.partition("=") for line in environment) if name == "PREFECT_HOME"]

    def held(over_for: float, holder: ConcurrencyLeaseHolder | None) -> Callable[[], bool]:
        name = f"lease-{uuid4()}"
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
        answer = client.increment_concurrency_slots_with_lease([name], 1, "concurrency", 60, holder).json()
        files = Path(home, "concurrency_leases")
        over = (datetime.now(UTC) - timedelta(seconds=over_for)).isoformat()
        lease = files / f"{answer['lease_id']}.json"
        replace(lease, json.loads(lease.read_text()) | {"expiration": over})
        index = files / "expirations.json"
        replace(index, json.loads(index.read_text()) | {answer["lease_id"]: over})
        return lambda: bool(client.read_global_concurrency_limit_by_name(name).active_slots)

    return held


@task
def beat() -> None:
    """Is never called."""


def replace(file: Path, content: dict) -> None:
    """At one stroke: the server reads it meanwhile."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content))
    new.replace(file)


def test_a_run_that_may_be_cut_off_keeps_its_slots_for_some_minutes(client: SyncPrefectClient, held) -> None:
    deployment = client.create_deployment(client.create_flow_from_name("cut-off"), "cut-off")
    going, dead = (client.create_flow_run_from_deployment(deployment, state=Running()).id for _ in range(2))
    client.set_flow_run_state(dead, Crashed(), force=True)
    tasks = [client.create_task_run(beat, run, "0", state=Running()).id for run in (going, dead)]
    holders = [ConcurrencyLeaseHolder(type="flow_run", id=run) for run in (going, dead)]
    holders += [ConcurrencyLeaseHolder(type="task_run", id=task) for task in tasks]
    cut_off = [held(250, holder) for holder in holders[::2]]
    free = [held(330, holders[0]), *(held(1, holder) for holder in [*holders[1::2], None])]
    until(lambda: not any(taken() for taken in free), within=60, what="slots are free of what nobody can renew")
    assert all(taken() for taken in cut_off)
