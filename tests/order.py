"""The order in which the test files of a folder are best begun: `python3 tests/order.py tests/faults` prints it."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from speed import speed

LAST_KNOWN = Path(__file__).with_name("seconds.json")
# A file that has never been measured
UNKNOWN = 300
# As the Makefile runs them
SIDE_BY_SIDE = 3


def known_seconds() -> defaultdict[str, float]:
    """How long each file takes on the reference machine."""
    return defaultdict(lambda: UNKNOWN, json.loads(LAST_KNOWN.read_text()))


def longest_first(files: Iterable[str]) -> list[str]:
    """So that all of them are over soon."""
    return sorted(files, key=known_seconds().__getitem__, reverse=True)


def by_commit(files: Iterable[str], commit: str) -> list[str]:
    """An order that changes with the commit, so that no file is always left out."""
    return sorted(files, key=lambda file: hashlib.sha256(f"{commit} {file}".encode()).digest())


def all_fit(files: Iterable[str], deadline: float) -> bool:
    """Whether no file has to be left out on this machine."""
    seconds = sum(map(known_seconds().__getitem__, files)) * speed() / SIDE_BY_SIDE
    return time.time() + seconds < deadline


def main(folder: Path) -> None:
    """Print the longest first, unless a deadline is too near for all of them."""
    files = longest_first(str(file) for file in folder.glob("test_*.py"))
    deadline = os.environ.get("TEST_DEADLINE")
    if deadline and not all_fit(files, float(deadline)):
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
        files = by_commit(files, commit)
    print(*files, sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
