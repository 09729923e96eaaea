"""The leases of runs outlive an outage of the server, until the runs can have renewed them."""

import asyncio
import os
import runpy
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

PROGRAM = Path(__file__).parents[3] / "systemd/prefect_leases.py"
OVER = timedelta(seconds=-1)


class Leases:
    """The storage, as it is some seconds after the server has started."""

    def __init__(self, folder: Path) -> None:
        self._module = runpy.run_path(str(PROGRAM))
        self._storage = self._module["ConcurrencyLeaseStorage"](folder)
        self._folder = folder

    def add(self, renewed_before: float) -> UUID:
        """A lease that is over, and was renewed last so many seconds before the start."""
        lease = asyncio.run(self._storage.create_lease([uuid4()], OVER)).id
        at = self._module["STARTED"] - renewed_before
        os.utime(self._folder / f"{lease}.json", (at, at))
        return lease

    def renew(self, lease: UUID) -> bool:
        """What a run is answered."""
        return asyncio.run(self._storage.renew_lease(lease, timedelta(seconds=300)))

    def expired(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[UUID]:
        """What is over so many seconds after the start."""
        now = self._module["STARTED"] + seconds
        monkeypatch.setattr("time.time", lambda: now)
        return asyncio.run(self._storage.read_expired_lease_ids())


def test_what_ran_out_in_an_outage_can_still_be_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases(tmp_path)
    lives, dead = leases.add(600), leases.add(600)
    assert leases.expired(monkeypatch, 15) == []
    assert leases.renew(lives)
    assert leases.expired(monkeypatch, 400) == [dead]


def test_what_runs_out_later_is_over_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases(tmp_path)
    lease = leases.add(-1)
    assert leases.expired(monkeypatch, 15) == [lease]
