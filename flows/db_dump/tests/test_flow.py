"""The flow's parameters and deployments."""

from pathlib import Path

import pytest
import yaml
from prefect.exceptions import ParameterTypeError

from errors import ParameterError
from flow import db_dump, default_root, target_of

SCHEMA = db_dump.parameters.model_dump()["properties"]


def choices(name):
    options = SCHEMA[name].get("anyOf", [SCHEMA[name]])
    return [value for option in options for value in option.get("enum", [])]


def test_choices_are_in_the_schema():
    assert choices("db_type") == ["postgres", "mysql", "sql_server", "oracle"]
    assert choices("dump_mode") == ["overwrite", "append"]
    assert choices("batch_data_type") == ["csv", "parquet"]
    assert choices("target_type") == ["postgres", "duckdb", "snowflake"]
    assert choices("break_query_end") == ["current_day", "current_month", "current_year"]
    assert choices("break_query_frequency") == [
        "day",
        "week",
        "month",
        "bimester",
        "trimester",
        "quadrimester",
        "semester",
        "year",
    ]


def test_defaults():
    expected = {
        "partition_date_format": "%Y-%m-%d",
        "retry_dump_upload_attempts": 2,
        "batch_size": 50000,
        "batch_data_type": "csv",
        "max_concurrency": 1,
    }
    assert {name: SCHEMA[name]["default"] for name in expected} == expected


def test_every_parameter_is_described_and_has_a_default():
    assert [name for name, value in SCHEMA.items() if not value.get("description") or "default" not in value] == []


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("db_type", "db2", "postgres.*oracle"),
        ("break_query_end", "tomorrow", "current_day"),
        ("break_query_frequency", "monthly", "bimester"),
        ("table_id", "../orders", "pattern"),
        ("dataset_id", "x" * 256, "255 characters"),
        ("max_concurrency", 0, "greater than 0"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_accepted(name, value, accepted):
    with pytest.raises(ParameterTypeError, match=f"(?s){name}.*{accepted}"):
        db_dump.validate_parameters({name: value})


def test_a_target_needs_type_and_secret():
    assert target_of(None, None) is None
    with pytest.raises(ParameterError, match="target_secret_path: is missing"):
        target_of("postgres", None)
    with pytest.raises(ParameterError, match="target_type: is missing"):
        target_of(None, "/warehouse")


def test_place_of_the_files(monkeypatch):
    monkeypatch.delenv("DB_DUMP_ROOT", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with pytest.raises(ParameterError, match=r"staging_root: .*DB_DUMP_ROOT"):
        default_root()
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert default_root() == "/var/lib/one/db_dump"
    monkeypatch.setenv("DB_DUMP_ROOT", "s3://dumps")
    assert default_root() == "s3://dumps"


def test_deployments_give_parameters_the_flow_takes():
    deployments = yaml.safe_load(Path(__file__).parents[1].joinpath("prefect.yaml").read_text())["deployments"]
    times = []
    for deployment in deployments:
        db_dump.validate_parameters(deployment["parameters"])
        for schedule in deployment["schedules"]:
            db_dump.validate_parameters(deployment["parameters"] | schedule["parameters"])
            times.append(schedule["cron"])
        slugs = [schedule["slug"] for schedule in deployment["schedules"]]
        assert len(slugs) == len(set(slugs))
    assert len(times) == len(set(times)), "two dumps start at the same minute"
