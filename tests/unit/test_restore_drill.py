"""The drill fails when the archive lacks changes, and only then."""

import re
from pathlib import Path

import pytest

from host import restore_drill

STOP, HOUR = 1_795_900_000, 3600
START = STOP + 5 * HOUR


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
    monkeypatch: pytest.MonkeyPatch, changes: list[int], restored: int, behind: int
) -> None:
    def live(_: Path, query: str) -> list[str]:
        since, until = map(int, re.findall(r"to_timestamp\((\d+)\)", query))
        return [str(min((change for change in changes if since < change <= until), default=until))]

    monkeypatch.setattr(restore_drill, "ask", live)
    assert restore_drill.seconds_behind(restored, STOP, START) == behind
