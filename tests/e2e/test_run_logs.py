"""What a run and its worker say is in the journal once, under the run's id, and in Prefect as before."""

import json
from collections.abc import Callable

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from testinfra.host import Host
from waiting import until

DUMP = "db_dump/shop-postgres"


@pytest.fixture
def run(finished: Callable[[str], FlowRun]) -> FlowRun:
    """A run that has ended."""
    return finished(DUMP)


@pytest.fixture
def entries(host: Host, run: FlowRun) -> list[dict]:
    """All that the journal has of it."""

    def ended() -> list[dict]:
        found = host.check_output("journalctl --output json --all --no-pager PREFECT_FLOW_RUN_ID=%s", str(run.id))
        entries = [json.loads(line) for line in found.splitlines()]
        return entries if any("Finished in state" in entry["MESSAGE"] for entry in entries) else []

    return until(ended, within=10, what=f"the journal has the end of {run.name}")


def test_an_entry_tells_what_it_belongs_to(entries: list[dict], run: FlowRun) -> None:
    for entry in entries:
        assert entry["PREFECT_WORK_POOL"] == "default"
        assert entry["_SYSTEMD_UNIT"] == "prefect-worker@default.service"
    of_the_process = [entry for entry in entries if "PREFECT_DEPLOYMENT" in entry]
    assert {entry["PREFECT_DEPLOYMENT"] for entry in of_the_process} == {DUMP}
    # It has named itself on its way.
    assert run.name in {entry.get("PREFECT_FLOW_RUN") for entry in of_the_process}
    assert any(entry.get("PREFECT_TASK_RUN") for entry in of_the_process)


def test_a_run_says_where_people_see_it(entries: list[dict], run: FlowRun) -> None:
    page = f"https://prefect.localhost/runs/flow-run/{run.id}"
    assert any(page in entry["MESSAGE"] for entry in entries)


def test_the_worker_is_heard_too(entries: list[dict]) -> None:
    assert any(entry["LOGGER"].startswith("prefect.flow_runs.worker") for entry in entries)


def test_no_line_is_there_twice(host: Host, entries: list[dict], client: SyncPrefectClient, run: FlowRun) -> None:
    logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])))
    said = next(log.message for log in logs if "rows=5000" in log.message)
    assert sum(said in entry["MESSAGE"] for entry in entries) == 1
    everything = host.check_output(
        "journalctl --output cat --all --no-pager --unit prefect-worker@default --since %s --until %s",
        f"@{int(run.start_time.timestamp())}",
        f"@{int(run.end_time.timestamp()) + 5}",  # later ones may have its name
    )
    assert everything.count(f"Flow run '{run.name}' - Finished in state") == 1
