"""Pieces read in processes of their own look on Prefect's pages as any others, and bring no secret there."""

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL
from running import running, until

pytestmark = pytest.mark.usefixtures("server", "warehouse")


def test_task_runs_and_logs_arrive_without_secrets(run, postgres_login, target_login):
    with running(run | {"max_concurrency": 2, "execute_query": "SELECT * FROM orders"}) as process:
        output = process.communicate()[0]
    assert process.returncode == 0, output
    with get_client(sync_client=True) as client:
        [latest] = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        of_latest = FlowRunFilter(id=FlowRunFilterId(any_=[latest.id]))

        def completed():
            tasks = client.read_task_runs(flow_run_filter=of_latest)
            return {task.name for task in tasks if task.name.startswith("read 20") and task.state.is_completed()}

        def reading_logs():
            logs = client.request("POST", "/logs/filter", json={"logs": {"flow_run_id": {"any_": [str(latest.id)]}}})
            return [log["message"] for log in logs.json() if ": read rows=" in log["message"]]

        until(lambda: len(completed()) == 18)
        until(lambda: len(reading_logs()) == 18)
    database = Path(PREFECT_SERVER_DATABASE_CONNECTION_URL.value().removeprefix("sqlite+aiosqlite:///"))
    stored = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    assert b"read 2025-01-01_2025-02-01" in stored
    for password in (postgres_login.password, target_login["password"]):
        assert password not in output
        assert password.encode() not in stored
