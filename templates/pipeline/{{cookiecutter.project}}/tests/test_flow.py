"""The flow's parameters and deployments, and how it uses the databases' answers."""

from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml
from prefect.exceptions import ParameterTypeError

import flow
from flow import SQL, pipeline

DAY = date(2026, 6, 30)
DEPLOYMENTS = yaml.safe_load(Path(__file__).parents[1].joinpath("prefect.yaml").read_text())["deployments"]


class Warehouse:
    """Answers each statement with the rows that the test defines."""

    def __init__(self, **answers):
        self.answers = {SQL[name]: rows for name, rows in answers.items()}

    def execute(self, statement, parameters=None):
        self.rows = self.answers.get(statement, [])
        return self

    def __iter__(self):
        return iter(self.rows)

    def fetchall(self):
        return self.rows


@pytest.fixture
def warehouse(monkeypatch):
    return lambda **answers: monkeypatch.setattr(flow, "warehouse", lambda: nullcontext(Warehouse(**answers)))


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_deployments_give_parameters_the_flow_takes(deployment):
    pipeline.validate_parameters(deployment["parameters"])
    for schedule in deployment.get("schedules", []):
        pipeline.validate_parameters(deployment["parameters"] | schedule.get("parameters", {}))


def test_a_wrong_day_is_refused():
    with pytest.raises(ParameterTypeError, match="day"):
        pipeline.validate_parameters({"day": "yesterday"})


def test_the_day_before_the_run(monkeypatch):
    monkeypatch.setattr(flow.runtime.flow_run, "scheduled_start_time", datetime(2026, 7, 1, 0, 30, tzinfo=UTC), False)
    assert flow.yesterday() == DAY


def test_uncounted_orders_fail_the_run(warehouse):
    warehouse(check=[(10, 9)], report=[("paid", 9, 1)])
    with pytest.raises(ValueError, match="2026-06-30: 10 orders were loaded, daily_sales counts 9"):
        flow.transform.fn(DAY)


def test_sales_that_pass_the_check_are_reported(warehouse, monkeypatch):
    shown = {}
    monkeypatch.setattr(flow, "create_markdown_artifact", lambda text, key: shown.update({key: text}))
    warehouse(report=[("new", 1, 5), ("paid", 1000, 12345)])
    flow.report(DAY, flow.transform.fn(DAY))
    assert "# Sales of 2026-06-30" in shown[flow.NAME]
    assert "| new | 1 | 5 |\n| paid | 1,000 | 12,345 |\n" in shown[flow.NAME]
