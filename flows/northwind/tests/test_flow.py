"""The flow's parameters and deployments."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from prefect.exceptions import ParameterTypeError

from flow import day_of_run, default_root, northwind

SCHEMA = northwind.parameters.model_dump()["properties"]


def test_every_parameter_is_described_and_has_a_default():
    assert [name for name, value in SCHEMA.items() if not value.get("description") or "default" not in value] == []


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("steps", ["transform"], "extract_postgres.*extract_csv.*load.*report"),
        ("steps", [], "at least 1"),
        ("day", "yesterday", "date"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_accepted(name, value, accepted):
    with pytest.raises(ParameterTypeError, match=f"(?s){name}.*{accepted}"):
        northwind.validate_parameters({name: value})


def test_today_or_a_past_day():
    today = datetime.now(UTC).date()
    assert day_of_run(today) == today
    assert day_of_run(date(2024, 2, 29)) == date(2024, 2, 29)
    with pytest.raises(ValueError, match=r"day: .* is in the future; give today or a past day"):
        day_of_run(today + timedelta(days=2))


def test_place_of_the_files(monkeypatch):
    monkeypatch.delenv("NORTHWIND_ROOT", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with pytest.raises(ValueError, match=r"root: .*NORTHWIND_ROOT"):
        default_root()
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert default_root() == "/var/lib/one/northwind"
    monkeypatch.setenv("NORTHWIND_ROOT", "/srv/northwind")
    assert default_root() == "/srv/northwind"


def test_deployments_give_parameters_the_flow_takes():
    for deployment in yaml.safe_load(Path(__file__).parents[1].joinpath("prefect.yaml").read_text())["deployments"]:
        northwind.validate_parameters(deployment["parameters"])
