"""A disk that is nearly full is told of once, in one line, whichever way it is full."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from host.disk_space import complaints, main, percent_used


def room(used: int, inodes: int) -> SimpleNamespace:
    """A disk of 100 blocks and 100 inodes, of which root keeps 10 blocks."""
    return SimpleNamespace(
        f_blocks=100, f_bfree=100 - used, f_bavail=90 - used, f_files=100, f_ffree=100 - inodes, f_favail=100 - inodes
    )


@pytest.mark.parametrize(
    ("used", "inodes", "expected"),
    [(45, 10, []), (81, 10, ["90% of its bytes"]), (10, 99, ["99% of its inodes"]), (10, 0, [])],
)
def test_a_full_disk_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: int, inodes: int, expected: list[str]
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: room(used, inodes))
    paths = [str(tmp_path), str(tmp_path.parent), str(tmp_path / "missing")]
    lines = list(complaints(85, paths))
    assert main("85", *paths) == ("\n".join(lines) or None)
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected, strict=True):
        assert line.startswith(f"{tmp_path}: {part}")


def test_a_disk_that_counts_no_inodes() -> None:
    assert percent_used(0, 0, 0) == 0
