"""A run with a deadline leaves out the test files that do not fit before it, and names them.

tests/seconds.json holds how long each file takes on the reference machine of `speed`; every run writes its own figures
in that form to .cache/reports/seconds.json.
"""

import fcntl
import json
import time
from collections import defaultdict
from pathlib import Path

import pytest
from order import known_seconds
from speed import speed

REPORT = Path(__file__).parents[1] / ".cache/reports/seconds.json"
# Seconds of a file whose time does not matter
SHORT = 20


class Budget:
    """Decides at the first test of a file whether the file is run."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._known = known_seconds()
        self._reasons: dict[str, str | None] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave out a test whose file does not fit."""
        file = file_of(item.nodeid)
        if file not in self._reasons:
            self._reasons[file] = self._too_long(file)
        if reason := self._reasons[file]:
            pytest.skip(reason)

    def _too_long(self, file: str) -> str | None:
        needed, left = self._known[file] * speed(), self._deadline - time.time()
        if needed <= left:
            return None
        return (
            f"{file} is left out: it takes about {needed / 60:.0f} min here, and {max(left, 0) / 60:.0f} min are left"
        )


class Measure:
    """Writes how long each file took, as it would have on the reference machine."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the set-up, the test and the clean-up."""
        self._seconds[file_of(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Add to what the other runs of the same suite have written."""
        if not (long := {file: seconds for file, seconds in self._seconds.items() if seconds > SHORT}):
            return
        seconds = {file: round(taken / speed()) for file, taken in long.items()}
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        with REPORT.open("a+") as report:
            # Files are run side by side.
            fcntl.flock(report, fcntl.LOCK_EX)
            report.seek(0)
            earlier = json.loads(report.read() or "{}")
            report.truncate(0)
            report.write(json.dumps(earlier | seconds, indent=1, sort_keys=True) + "\n")


def file_of(nodeid: str) -> str:
    """The path of a test's file, from the folder of the clone."""
    return nodeid.split("::")[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Without a deadline nothing is left out."""
    parser.addoption("--deadline", type=float, help="when the run has to be over, in seconds since 1970")


def pytest_configure(config: pytest.Config) -> None:
    """Measure every run, and hold a run with a deadline to it."""
    if not hasattr(config, "workerinput"):  # pytest-xdist tells all to the process that started the workers
        config.pluginmanager.register(Measure())
    if deadline := config.getoption("deadline"):
        config.pluginmanager.register(Budget(deadline))
