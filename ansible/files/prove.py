"""Prove the platform as users reach it: through the proxy, one run with a task run on the worker of each pool."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

NAME = "platform-canary"
FOLDER = "/opt/prefect/platform/current/host/canary"
SECONDS = 180


@contextmanager
def queue_of(client: SyncPrefectClient, pool: str) -> Iterator[None]:
    """A queue for the canary, as the others may be held."""
    try:
        queue = client.read_work_queue_by_name(NAME, work_pool_name=pool)
    except ObjectNotFound:
        queue = client.create_work_queue(NAME, work_pool_name=pool)
    yield
    client.delete_work_queue_by_id(queue.id)


def start(client: SyncPrefectClient, flow: UUID, pool: str) -> FlowRun:
    """Start the canary on a pool."""
    deployment = client.create_deployment(
        flow, pool, work_pool_name=pool, work_queue_name=NAME, path=FOLDER, entrypoint="flow.py:canary"
    )
    return client.create_flow_run_from_deployment(deployment)


def is_proved(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the run has completed, and its task run, which travels as events, has arrived."""
    run_filter = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    state = client.read_flow_run(run.id).state
    if state.is_final() and not state.is_completed():
        sys.exit(f"the canary run has ended as {state.name}: {state.message}")
    return state.is_completed() and any(
        task.state.is_completed() for task in client.read_task_runs(flow_run_filter=run_filter)
    )


def prove(client: SyncPrefectClient, pool: str) -> None:
    """Run the canary on a pool, wait for it, and remove it."""
    flow = client.create_flow_from_name(NAME)
    try:
        with queue_of(client, pool):
            run, deadline = start(client, flow, pool), time.monotonic() + SECONDS
            while not is_proved(client, run):
                if time.monotonic() > deadline:
                    sys.exit(
                        f"no run of the pool {pool} completed in {SECONDS} s: "
                        f"make logs UNIT=prefect-worker@{pool} ENV={os.environ['ENV']}"
                    )
                time.sleep(0.5)
    finally:
        client.delete_flow(flow)


with get_client(sync_client=True) as client:
    for pool in sys.argv[1:]:
        if client.read_work_pool(pool).is_paused:
            print(f"the pool {pool} is paused: its worker is not proved")
        else:
            try:
                prove(client, pool)
            except httpx.HTTPError as error:
                reason, *_ = str(error).splitlines() or [type(error).__name__]
                sys.exit(f"the canary run of the pool {pool}: {reason}")
