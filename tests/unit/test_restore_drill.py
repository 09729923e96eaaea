"""The drill fails when the archive lacks changes, and only then."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "ansible/roles/backup/files/restore-drill.py"
STOP, HOUR = 1_795_900_000, 3600
START = STOP + 5 * HOUR


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with a state folder of its own."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    spec = importlib.util.spec_from_file_location("restore_drill", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("changes", "restored", "behind"),
    [
        pytest.param([STOP + HOUR], STOP + HOUR, 0, id="changes since the backup came back"),
        pytest.param([STOP + HOUR, START - 60], STOP + HOUR, 60, id="the last is on its way, after idle hours"),
        pytest.param([STOP + HOUR, START - 60], STOP - HOUR, 4 * HOUR, id="changes since the backup are lost"),
        pytest.param([START - 60], 0, 60, id="the first flow run is younger than the backup"),
        pytest.param([], 0, 0, id="there is no flow run"),
        pytest.param([START + 5], STOP, 0, id="a change is younger than the drill"),
    ],
)
def test_what_did_not_come_back_may_be_minutes_old(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, changes: list[int], restored: int, behind: int
) -> None:
    def live(_: Path, query: str) -> list[str]:
        since, until = map(int, re.findall(r"to_timestamp\((\d+)\)", query))
        return [str(min((change for change in changes if since < change <= until), default=until))]

    monkeypatch.setattr(program, "ask", live)
    assert program.seconds_behind(restored, STOP, START) == behind
