"""Events pass the proxy both ways while a run goes, and only for those who know the password."""

import asyncio
import json
import ssl
from collections.abc import Callable

import pytest
from lab import Site
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from pydantic import SecretStr
from waiting import until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.frames import CloseCode


@task
def step() -> None:
    """Something to do."""


@flow(flow_run_name="outside")
def outside() -> None:
    """A flow with a task."""
    step()


async def first_answer(site: Site, token: str) -> dict:
    """What the socket of events says to whoever opens it, as Prefect's UI does, with this token."""
    url = site.url.replace("https://", "wss://") + "/api/events/out"
    context = ssl.create_default_context(cafile=site.ca)
    async with connect(url, ssl=context, subprotocols=["prefect"]) as socket, asyncio.timeout(10):
        await socket.send(json.dumps({"type": "auth", "token": token}))
        return json.loads(await socket.recv())


def test_a_subscriber_sees_a_run_go_by(start: Callable[[str], FlowRun]) -> None:
    async def follow() -> set[str]:
        seen = set()
        prefixes = EventFilter(event=EventNameFilter(prefix=["prefect.flow-run.", "prefect.task-run."]))
        async with asyncio.timeout(90), get_events_subscriber(filter=prefixes) as subscriber:
            run = await asyncio.to_thread(start, "db_dump/shop-mariadb")
            async for event in subscriber:
                if f"prefect.flow-run.{run.id}" in {event.resource.id, *(related.id for related in event.related)}:
                    seen.add(event.event)
                if {"prefect.flow-run.Completed", "prefect.task-run.Completed"} <= seen:
                    break
        return seen

    assert {"prefect.flow-run.Pending", "prefect.flow-run.Running"} <= asyncio.run(follow())


def test_task_runs_of_a_worker_beyond_the_proxy_are_listed(client: SyncPrefectClient) -> None:
    # The lab's own worker asks the server directly. This flow runs here, as on a worker of another host.
    state = outside(return_state=True)
    of_this_run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))

    def arrived() -> bool:
        task_runs = client.read_task_runs(flow_run_filter=of_this_run)
        return [task_run.state_name for task_run in task_runs] == ["Completed"]

    assert until(arrived, within=20, what="the task run is listed as Completed")


def test_the_password_opens_the_socket(site: Site, login: SecretStr) -> None:
    assert asyncio.run(first_answer(site, login.get_secret_value()))["type"] == "auth_success"


def test_without_the_password_the_socket_closes(site: Site) -> None:
    with pytest.raises(ConnectionClosedError) as closed:
        asyncio.run(first_answer(site, "admin:wrong"))
    assert closed.value.rcvd.code == CloseCode.POLICY_VIOLATION


@task
def names_a_file() -> None:
    """Fails by a text that PostgreSQL does not hold."""
    raise ValueError("rows of a\0b.csv")


@flow
def names_one() -> None:
    """Fails by it too."""
    names_a_file()


def test_a_nul_holds_up_neither_a_run_nor_the_events_beside_it(client: SyncPrefectClient) -> None:
    state = names_one(return_state=True)
    run = client.read_flow_run(state.state_details.flow_run_id)
    assert (run.state.name, run.state.message) == (
        "Failed",
        "Flow run encountered an exception: ValueError: rows of ab.csv",
    )
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))

    def ended() -> list[str]:
        states = [task_run.state for task_run in client.read_task_runs(flow_run_filter=chosen)]
        return [state.message for state in states if state.is_final()]

    [message] = until(ended, within=60, what="the task run has ended")
    assert message == "Task run encountered an exception ValueError: rows of ab.csv"
