"""What a worker does for runs whose process died: end them, retry them, or schedule them again."""

import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Crashed, Scheduled
from prefect.workers.process import ProcessWorker

PAGE = 200
# A run that crashed earlier than this is not retried any more
RETRIED_FOR = timedelta(hours=1)
# A live worker labels a run within this time; an older one without a label is orphaned
LABELLED_WITHIN = timedelta(seconds=30)

log = logging.getLogger("prefect.worker")


class Recovery:
    """Looks after the dead runs of a pool, on behalf of one of its workers. Its methods raise httpx.HTTPError."""

    def __init__(self, worker: ProcessWorker, pool: str) -> None:
        self._worker = worker
        self._pool = pool

    async def take_over(self) -> None:
        """End what died with an earlier process of this worker: systemd leaves nothing of it alive.

        The server ends what was being cancelled.
        """
        unfinished = FlowRunFilterState(
            operator="or_",  # type: ignore[call-arg]  # of a base that is no model
            type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING]),
            name=FlowRunFilterStateName(any_=["AwaitingRetry"]),
        )
        for run in await self._runs(FlowRunFilter(state=unfinished)):
            if worker_of(run) == self._worker.name and (state := state_after_death(run)):
                log.warning("%s was left by an earlier worker: it is %s now", run.name, state.name)
                await self._worker.client.set_flow_run_state(run.id, state)

    async def retry(self) -> None:
        """Schedule again what has crashed and has retries left. The server retries failed runs only."""
        crashed = FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
            end_time=FlowRunFilterEndTime.model_validate({"after_": datetime.now(UTC) - RETRIED_FOR}),
        )
        for run in await self._runs(crashed):
            # A run in flight lives, even if the server calls it Crashed.
            dead = worker_of(run) == self._worker.name and run.id not in in_flight(self._worker)
            if dead and has_retries(run) and await self._died_at_work(run):
                delay = run.empirical_policy.retry_delay or 0
                log.warning("%s has Crashed and is retried in %s s", run.name, delay)
                when = datetime.now(UTC) + timedelta(seconds=float(delay))
                state: State[Any] = AwaitingRetry(scheduled_time=when, message="It has Crashed, and has retries left.")
                with suppress(ObjectNotFound):  # deleted meanwhile
                    await self._worker.client.set_flow_run_state(run.id, state)

    async def take_again(self) -> None:
        """Schedule again what a worker of the pool took, and died before it labelled it."""
        pending = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING])))
        for run in await self._runs(pending):
            old = run.state is not None and run.state.timestamp < datetime.now(UTC) - LABELLED_WITHIN
            if old and not worker_of(run) and run.id not in in_flight(self._worker):
                log.warning("%s was taken by a worker that has died: it is scheduled again", run.name)
                state: State[Any] = Scheduled(message="Its worker died before it began.")
                await self._worker.client.set_flow_run_state(run.id, state)

    async def _died_at_work(self, run: FlowRun) -> bool:
        """Whether it was Running, or waiting for a retry of its own: not before it began, nor being cancelled."""
        states = await self._worker.client.read_flow_run_states(run.id)
        history = sorted(states, key=lambda state: state.timestamp, reverse=True)
        last = next((state for state in history if not state.is_crashed()), None)
        waited = run.empirical_policy.retry_type == "in_process"
        return last is not None and (last.is_running() or (last.is_scheduled() and waited))

    async def _runs(self, run_filter: FlowRunFilter) -> list[FlowRun]:
        """All runs of the pool that pass the filter."""
        runs: list[FlowRun] = []
        while len(runs) % PAGE == 0:
            page = await self._worker.client.read_flow_runs(
                flow_run_filter=run_filter,
                work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._pool])),
                sort=FlowRunSort.ID_DESC,
                limit=PAGE,
                offset=len(runs),
            )
            if not page:
                break
            runs += page
        return runs


def in_flight(worker: ProcessWorker) -> list[UUID]:
    """The runs that have a slot of the worker."""
    return [run for run in worker.limiter.statistics().borrowers if isinstance(run, UUID)]


def worker_of(run: FlowRun) -> str | None:
    """The name of the worker that has taken a run, as its label says."""
    name = run.labels.get("prefect.worker.name")
    return None if name is None else str(name)


def has_retries(run: FlowRun) -> bool:
    """Whether a run has retries left, as the server counts them for runs that fail."""
    return bool(run.deployment_id) and run.run_count <= (run.empirical_policy.retries or 0)


def state_after_death(run: FlowRun) -> State[Any] | None:
    """The state of a run whose worker has died; None for a run that waits for any worker."""
    match run.state_type:
        case StateType.PENDING:
            return Scheduled(message="Its worker died before it began.")
        case StateType.RUNNING:
            return Crashed(message="Its worker died, and the run with it.")
        case StateType.SCHEDULED if run.empirical_policy.retry_type == "in_process":
            return Crashed(message="Its worker died, and the run with it, while it waited for a retry.")
    return None
