"""Forward and back while runs are started all the time: none is lost, and no slot of a schedule is missed.

The tests go on from one another: the lab goes back to an older Prefect, comes forward, and goes back.
"""

import json
from pathlib import Path

import pytest
from load import Load
from upgrading import LOCKED, OLDER, PATIENT, Platform, make, measure

# From the beginning of an upgrade to its end
RUNS = 20


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that let runs finish, however slow the machine is."""
    settings = tmp_path_factory.mktemp("patient") / "settings.json"
    settings.write_text(json.dumps(PATIENT))
    return settings


def test_an_upgrade(older_platform: Platform, load: Load, patient: Path, figures: dict[str, object]) -> None:
    data = older_platform.data()
    with load.steady(runs=RUNS):
        answer = measure(figures, "upgrade", locks=patient)
    assert answer.code == 0, answer.output
    states = figures["states"] = load.settle()
    assert set(states) == {"Completed"}
    older_platform.has(data)
    older_platform.works(LOCKED)


def test_the_way_back_must_be_meant(older_platform: Platform) -> None:
    answer = make("rollback-platform")
    assert answer.code != 0
    answer.line("failed:", f"Prefect {OLDER} is older than the schema", "CONFIRM=1")
    assert older_platform.version() == LOCKED


def test_the_way_back(older_platform: Platform, load: Load, patient: Path, figures: dict[str, object]) -> None:
    data = older_platform.data()
    with load.steady(runs=RUNS):
        answer = measure(figures, "rollback-platform", "CONFIRM=1", locks=patient)
    assert answer.code == 0, answer.output
    states = figures["states"] = load.settle()
    assert set(states) == {"Completed"}
    older_platform.has(data)
    older_platform.works(OLDER)
