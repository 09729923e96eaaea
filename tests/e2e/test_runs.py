"""A run that is asked for through the proxy ends well, and leaves what it should: task runs, logs and artifacts.

Task runs travel as events and logs in batches, each on a channel of its own: a broken one loses them without a word.
"""

import re
from collections.abc import Callable

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun
from waiting import until

DUMP, PIPELINE = "db_dump/shop-postgres", "azure-snowflake-dbt/production-daily"
NORTHWIND, FILES = "northwind/daily", "files-to-database/sample"
TASKS = {
    DUMP: {"describe", "read all rows"},
    PIPELINE: {"call_function", "load", "build_models", "model daily_sales", "test marts_keep_every_order"},
    NORTHWIND: {"extract_postgres", "extract_csv", "load", "report"},
    FILES: {"download yellow/2024-01", "load yellow/2024-01", "load yellow/2024-02"},
}
LOGS = {
    DUMP: "all rows: read rows=5000",
    PIPELINE: "files copied table=RAW.ORDERS",
    NORTHWIND: "report: 150 rows",
    FILES: "150 rows in public.sample_trips",
}
ARTIFACTS = {
    DUMP: {"db-dump-shop-postgres-orders", "db-dump-shop-postgres-orders-summary"},
    PIPELINE: {"azure-snowflake-dbt-files", "azure-snowflake-dbt-results", "azure-snowflake-dbt-summary"},
    NORTHWIND: {"northwind"},
    FILES: {"files-to-database-public-sample-trips"},
}


@pytest.fixture(params=[DUMP, PIPELINE, NORTHWIND, FILES])
def deployment(request: pytest.FixtureRequest) -> str:
    """One of the flows that are shipped."""
    return request.param


@pytest.fixture
def run(finished: Callable[[str], FlowRun], deployment: str) -> FlowRun:
    """A run of it that has ended."""
    return finished(deployment)


def test_it_completes(run: FlowRun) -> None:
    assert run.state.is_completed(), run.state.message


def plain_name(task_run: TaskRun) -> str:
    """The name without the day, and without what Prefect makes it unique with."""
    return re.sub(r"( \d{4}-\d\d-\d\d)?(-[0-9a-f]{3})?$", "", task_run.name)


def test_its_task_runs_are_listed(client: SyncPrefectClient, run: FlowRun, deployment: str) -> None:
    def ended() -> dict[str, str]:
        # Their events are written in batches: the last ones arrive a moment after the run has ended.
        task_runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
        states = {plain_name(task_run): task_run.state_name for task_run in task_runs}
        return states if TASKS[deployment] <= states.keys() and set(states.values()) == {"Completed"} else {}

    assert until(ended, within=20, what=f"the task runs of {run.name} are listed as Completed")


def test_its_logs_arrive(client: SyncPrefectClient, run: FlowRun, deployment: str) -> None:
    logs = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))

    def arrived() -> bool:
        return any(LOGS[deployment] in log.message for log in client.read_logs(logs))

    assert until(arrived, within=20, what=f"`{LOGS[deployment]}` is among the logs of {run.name}")


def test_its_logs_are_plain_text(client: SyncPrefectClient, run: FlowRun) -> None:
    logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])))
    assert not [log.message for log in logs if "\x1b[" in log.message]


def test_its_artifacts_are_there(client: SyncPrefectClient, run: FlowRun, deployment: str) -> None:
    artifacts = client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    )
    assert {artifact.key for artifact in artifacts} >= ARTIFACTS[deployment]
