"""What all processes of a test run share: the first that needs it makes it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock, which the kernel takes back from a process that dies."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder of this run, the same one in each of its processes."""
    base = factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    (run / name).mkdir(exist_ok=True)
    return run / name


@contextmanager
def made_once(factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder, and whether it is still to be filled; others wait meanwhile."""
    place = folder(factory, name)
    with locked(place.with_suffix(".lock")):
        yield place, not (place / ".complete").exists()
        (place / ".complete").touch()
