"""What is wrong with the backups is told in one line each, and fails the check."""

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from commands import foreign, unknown

from host import backup_report

OK = {"code": 0, "message": "ok"}
HOUR = 3600
Look = Callable[[], tuple[list[str], bool]]


class Drills(NamedTuple):
    """The files of a host that show when the drill ran last, and when it was installed."""

    last: Path
    timer: Path


def backup(repository: int, hours: float, **more: object) -> dict:
    """As pgBackRest tells of one that ended so long ago."""
    return {
        "label": "20261120-023000F",
        "type": "full",
        "database": {"repo-key": repository},
        "timestamp": {"stop": time.time() - hours * HOUR},
        "info": {"size": 2e6, "repository": {"delta": 1e6}},
        **more,
    }


def info(*backups: dict, **status: object) -> dict:
    """As pgBackRest tells of two repositories, of which the second has a status of its own."""
    repositories = [{"key": 1, "status": OK}, {"key": 2, "status": OK | status}]
    return {"name": "prefect", "repo": repositories, "backup": list(backups)}


@pytest.fixture
def drills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drills:
    """A host of production, where the drill was just installed and all answers are good."""
    drills = Drills(tmp_path / "last.json", tmp_path / "drill.timer")
    drills.timer.touch()
    monkeypatch.setattr(backup_report, "ENVIRONMENT", " ENV=production")
    monkeypatch.setattr(backup_report, "DRILL", drills.last)
    monkeypatch.setattr(backup_report, "DRILL_TIMER", drills.timer)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    answer(tmp_path, "pgbackrest", json.dumps([info(backup(1, 3), backup(2, 3))]))
    answer(tmp_path, "psql", "60 f")
    return drills


def answer(folder: Path, program: str, text: str, code: int = 0) -> None:
    """Stands for a program that says just that."""
    (folder / f"{program}.said").write_text(text)
    (folder / program).write_text(f'#!/bin/sh\ncat "$0.said" {">&2" if code else ""}\nexit {code}\n')
    (folder / program).chmod(0o755)


@pytest.fixture
def look(drills: Drills, capsys: pytest.CaptureFixture[str]) -> Look:
    """What the report says is wrong, in commands that exist, and whether it fails."""

    def look() -> tuple[list[str], bool]:
        failed = backup_report.main()
        lines = capsys.readouterr().out.splitlines()
        assert [missing for line in lines for missing in unknown(line)] == []
        assert foreign("\n".join(lines), "production") == []
        return [line.removeprefix("PROBLEM: ") for line in lines if line.startswith("PROBLEM: ")], bool(failed)

    return look


def test_all_is_well(drills: Drills, capsys: pytest.CaptureFixture[str]) -> None:
    assert not backup_report.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("repository 1: last backup 20261120-023000F (full) 3 h ago, 977K of 2M; 1 kept")
    assert lines[2:] == ["archive: last segment 60 s ago", "drill: none yet"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (info(backup(1, 3), backup(2, 49)), "repository 2: last backup 20261120-023000F (full) 2 d ago"),
        (info(backup(1, 3), backup(2, 3, error=True)), "repository 2: last backup 20261120-023000F (full) 3 h"),
        (
            info(backup(1, 3), code=2, message="no valid backups"),
            "repository 2: no valid backups; make backup TYPE=full ENV=production",
        ),
        (
            info(backup(1, 3), code=1, message="missing stanza path"),
            "repository 2: missing stanza path; mount its disk again, or make provision ENV=production prepares it",
        ),
        (
            info(backup(1, 3), code=99, message="[HostConnectError] unable to\n  connect"),
            "repository 2 cannot be used: [HostConnectError] unable to connect",
        ),
    ],
    ids=["too old", "broken", "none", "gone", "away"],
)
def test_a_repository_without_a_good_backup(tmp_path: Path, look: Look, said: dict, problem: str) -> None:
    answer(tmp_path, "pgbackrest", json.dumps([said]))
    (line,), failed = look()
    assert line.startswith(problem)
    assert failed


@pytest.mark.parametrize(
    ("program", "text", "code", "problem"),
    [
        ("psql", "7200 t", 0, "archive: last segment 2 h ago, the next one fails"),
        ("psql", "is the server\nrunning?", 2, "archive: is the server running?"),
        ("pgbackrest", "ERROR: [031]: no path", 31, "repositories: ERROR: [031]: no path"),
    ],
    ids=["changes pile up", "PostgreSQL is down", "pgBackRest fails"],
)
def test_what_cannot_be_looked_at_is_wrong(
    tmp_path: Path, look: Look, program: str, text: str, code: int, problem: str
) -> None:
    answer(tmp_path, program, text, code)
    assert look() == ([problem], True)


def test_what_hangs_is_wrong(tmp_path: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "psql").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(backup_report, "PATIENCE_SECONDS", 1)
    assert look() == (["archive: psql has not answered for 1 s"], True)


def test_what_hangs_is_waited_for_at_once(tmp_path: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    both = {program: tmp_path / f"{program}.began" for program in ("pgbackrest", "psql")}
    for program, other in zip(both, reversed(both), strict=True):
        # It ends when the other one has begun.
        wait = f"touch {both[program]}; until [ -e {both[other]} ]; do sleep 0.1; done; cat $0.said"
        (tmp_path / program).write_text(f"#!/bin/sh\n{wait}\n")
    monkeypatch.setattr(backup_report, "PATIENCE_SECONDS", 60)
    assert look() == ([], False)


def drilled(path: Path, days: float, passed: bool) -> None:
    """Keeps how a drill ended so long ago."""
    then = time.time() - days * 24 * HOUR
    finished = datetime.fromtimestamp(then, UTC).strftime("%Y-%m-%d %H:%M:%S+00")
    message = "passed in 9 s" if passed else "failed: a page"
    path.write_text(json.dumps({"finished": finished, "passed": passed, "message": message}))
    os.utime(path, (then, then))


@pytest.mark.parametrize(
    ("days", "passed", "ending", "fails"),
    [
        (15, True, None, False),
        (1, False, "failed: a page", False),  # it has told of itself
        (17, True, "passed in 9 s; none for over 16 days: make restore-drill ENV=production", True),
    ],
    ids=["fine", "failed", "too old"],
)
def test_the_last_drill(drills: Drills, look: Look, days: float, passed: bool, ending: str, fails: bool) -> None:
    drilled(drills.last, days, passed)
    wrong, failed = look()
    assert [line.endswith(ending) for line in wrong] == ([True] if ending else [])
    assert failed == fails


def test_a_drill_that_never_ran(drills: Drills, look: Look) -> None:
    then = time.time() - 17 * 24 * HOUR
    os.utime(drills.timer, (then, then))
    assert look() == (["drill: none yet; none for over 16 days: make restore-drill ENV=production"], True)
