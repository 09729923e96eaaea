"""The drill fails when the archive lacks changes, and only then."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "ansible/roles/backup/files/restore-drill.py"
STOP, HOUR = 1_795_900_000, 3600


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
    ("live", "restored", "behind"),
    [
        pytest.param(STOP + HOUR, STOP + HOUR - 5, 5, id="changes since the backup came back"),
        pytest.param(STOP + 2 * HOUR, STOP - HOUR, 2 * HOUR, id="changes since the backup are lost"),
        pytest.param(STOP + 60, 0, 60, id="the first flow run is younger than the backup"),
        pytest.param(0, 0, 0, id="there is no flow run"),
        pytest.param(STOP + 5, STOP + 9, 0, id="the live database was looked at first"),
    ],
)
def test_the_backup_is_the_least_that_comes_back(program: ModuleType, live: int, restored: int, behind: int) -> None:
    assert program.seconds_behind(live, restored, STOP) == behind
