"""A text that no database or no JSON can hold fails a run as any other text does, and takes nothing else with it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from asking import ask
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from shared import made_once
from waiting import until
from warm_server import Server

from host.server import NUL

LOGS = Path(__file__).parents[3] / "host/logs"
# A NUL, and what Python makes of a name that is not UTF-8
TEXT, HELD = "rows of caf\udce9\0.csv", "rows of caf\\udce9.csv"
FLOWS = f"""
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.states import Failed

TEXT = {TEXT!r}


@flow(name="texts-raised")
def raised():
    raise ValueError(TEXT)


@task
def load():
    raise ValueError(TEXT)


@flow(name="texts-raised-in-a-task")
def in_a_task():
    load()


@flow(name="texts-returned")
def returned():
    return Failed(name="BadData", message=TEXT)


@flow(name="texts-logged", log_prints=True)
def logged():
    get_run_logger().info("before")
    get_run_logger().info(TEXT)
    print(TEXT)
    try:
        raise ValueError(TEXT)
    except ValueError:
        get_run_logger().exception("caught")
    get_run_logger().info("after")


@flow(name="texts-written")
def written():
    create_markdown_artifact("a\\0b", key="texts-written")
    emit_event("texts.written", resource={{"prefect.resource.id": "texts.written"}}, payload={{"text": "a\\0b"}})


for flow_of_text in (raised, in_a_task, returned, logged, written):
    flow_of_text(return_state=True)
"""


@pytest.fixture(scope="module")
def prefect_server(server_with_services: Server) -> Server:
    """What tasks say, and events, are written by services."""
    return server_with_services


@pytest.fixture(scope="module")
def all_runs(prefect_server, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Runs in a process of their own, with the logging that the worker's unit sets up."""
    with made_once(tmp_path_factory, "texts") as (folder, empty):
        if empty:
            (folder / "flows.py").write_text(FLOWS)
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
                "PREFECT_HOME": str(folder),
                "PREFECT_API_URL": prefect_server.url,
                "PREFECT_API_AUTH_STRING": prefect_server.auth,
                "PREFECT_LOGGING_SETTINGS_PATH": str(LOGS / "logging.yml"),
                "PREFECT_LOGGING_HANDLERS_JOURNAL_CLASS": "logging.NullHandler",
                "PYTHONPATH": str(LOGS),
            }
            command = [sys.executable, folder / "flows.py"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
            assert "Logging error" not in done.stderr


@pytest.fixture
def login(prefect_server) -> tuple[str, str]:
    """Who may do everything."""
    return tuple(prefect_server.auth.split(":"))


@pytest.fixture
def run_of(all_runs, settings) -> Callable[[str], FlowRun]:
    """The run of a flow."""

    def read(flow: str) -> FlowRun:
        [run] = ask("read_flow_runs", flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])))
        return run

    return read


def test_a_run_that_raises_it_fails_by_it(run_of) -> None:
    state = run_of("texts-raised").state
    assert (state.name, state.message) == ("Failed", f"Flow run encountered an exception: ValueError: {HELD}")


def test_a_state_that_a_flow_returns_has_it(run_of) -> None:
    state = run_of("texts-returned").state
    assert (state.type.value, state.name, state.message) == ("FAILED", "BadData", HELD)


def test_a_task_that_raises_it_fails_by_it(run_of) -> None:
    run = run_of("texts-raised-in-a-task")
    assert run.state.name == "Failed"
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))

    def ended() -> list:
        return [task for task in ask("read_task_runs", flow_run_filter=chosen) if task.state.is_final()]

    [task] = until(ended, within=30, what="the task run has ended")
    assert task.state.message == f"Task run encountered an exception ValueError: {HELD}"


def test_its_line_is_there_and_so_are_the_others(run_of) -> None:
    chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_of("texts-logged").id]))

    def lines() -> list[str]:
        messages = [log.message for log in ask("read_logs", chosen)]
        return messages if any("Finished in state" in message for message in messages) else []

    told = until(lines, within=30, what="the last line is there")
    assert [line for line in told if line in ("before", "after")] == ["before", "after"]
    assert told.count(HELD) == 2
    [traceback] = [line for line in told if line.startswith("caught\n")]
    assert traceback.endswith(f"ValueError: {HELD}")


def test_artifacts_and_events_hold_no_nul(run_of, prefect_server, login) -> None:
    assert run_of("texts-written").state.is_completed()
    key = ArtifactFilter(key=ArtifactFilterKey(any_=["texts-written"]))
    [artifact] = ask("read_artifacts", artifact_filter=key)
    assert artifact.data == "ab"

    def texts() -> list[str]:
        chosen = {"filter": {"event": {"name": ["texts.written"]}}}
        page = requests.post(f"{prefect_server.url}/events/filter", json=chosen, auth=login, timeout=30).json()
        return [event["payload"]["text"] for event in page["events"]]

    assert until(texts, within=30, what="the event is there") == ["ab"]


@pytest.mark.usefixtures("settings")
def test_the_value_of_a_block_keeps_it(prefect_server, login) -> None:
    """It is encrypted, which PostgreSQL holds."""
    kind = ask("read_block_type_by_slug", "secret").id
    schema = ask("get_most_recent_block_schema_for_block_type", kind).id
    ids = {"block_type_id": str(kind), "block_schema_id": str(schema)}
    block = {"name": "texts-kept", "data": {"value": "a\0b"}, **ids}
    requests.post(f"{prefect_server.url}/block_documents/", json=block, auth=login, timeout=30).raise_for_status()
    kept = ask("read_block_document_by_name", "texts-kept", "secret", include_secrets=True)
    assert kept.data["value"] == "a\0b"


TEXTS = st.text(st.sampled_from('\0\\u0n"é'))


@given(st.recursive(TEXTS, st.lists))
def test_of_any_json_the_nuls_are_left_out_and_nothing_else(value: object) -> None:
    def without(part: object) -> object:
        return part.replace("\0", "") if isinstance(part, str) else [without(inner) for inner in part]

    assert json.loads(NUL.sub(rb"\1", json.dumps(value).encode())) == without(value)
