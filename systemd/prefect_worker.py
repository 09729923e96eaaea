"""The worker of a process pool as its unit runs it: nothing it has taken is lost when it stops, restarts or is killed.

`prefect worker start` ends its runs when it is told to stop, and also when it cannot reach the server for some minutes.
Here a stop ends the polling only: runs may finish for `--drain-seconds` and are cancelled then, as from the UI. A
server that is away is waited for, also by a run that is about to begin. What an earlier process of the same name left,
which died with it, is Crashed, or scheduled again where it had not begun. A Crashed run has the retries of its flow,
as a failed one has them.

systemd hears that the worker is ready when it has polled for the first time, and at each try to poll that it is alive.
The worker sends the server an event while it lives, and one when it stops. An automation in flows/resources.yml
notifies you when a worker falls silent.
"""

import argparse
import logging
import math
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import anyio
import httpx
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
from prefect.events import emit_event
from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import AwaitingRetry, Cancelling, Crashed, Scheduled
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

# Seconds for one call to the server: its client would go on trying, each time after twice the wait, and notice
# late that the server is back
PATIENCE = 20
# Seconds for runs that are cancelled: to hear of it, and for their on_cancellation hooks
CANCELLATION = 60
PAGE = 200
# Added to the score of a run's process: half of what a process with all of the memory has
OOM_SCORE_OF_RUNS = "500"
# Processes that a run gets until one of them begins it
TRIES = 3
# A run that was Crashed earlier than this is not retried any more
RETRIED_FOR = timedelta(hours=1)
# A run that has been taken for this long bears the name of its worker, if that lives
NAMED_WITHIN = timedelta(seconds=30)

log = logging.getLogger("prefect.worker")


def main() -> None:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--limit", type=int, default=math.inf, help="runs at a time")
    parser.add_argument("--drain-seconds", type=float, required=True, help="how long runs may go on after a stop")
    options = parser.parse_args()
    # A worker that stops while the server is away waits for 10 seconds to send its last event, not for two minutes.
    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)
    worker = Worker(work_pool_name=options.pool, name=options.name, limit=options.limit)
    try:
        anyio.run(work, worker, options.pool, options.drain_seconds)
    except Exception as error:
        refused = refusal(error)
        if not refused:
            raise
        sys.exit(f"the server refuses this worker ({refused.response.status_code}): is PREFECT_API_AUTH_STRING right?")


def refusal(error: BaseException | None) -> httpx.HTTPStatusError | None:
    """The answer of the server that is behind an error."""
    if error is None or isinstance(error, httpx.HTTPStatusError):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else [error.__cause__]
    return next(filter(None, map(refusal, inner)), None)


class KilledFirst(anyio.abc.TaskStatus[int]):
    """Reports the process of a run, which the kernel kills before the worker when memory runs out."""

    def __init__(self, task_status: anyio.abc.TaskStatus[int]) -> None:
        self._task_status = task_status

    def started(self, value: int | None = None) -> None:
        """Raise the score of the process, see proc_pid_oom_score_adj(5), and report it."""
        with suppress(OSError):  # the process may have ended already
            Path(f"/proc/{value}/oom_score_adj").write_text(OOM_SCORE_OF_RUNS)
        self._task_status.started(value)


class Worker(ProcessWorker):
    """Gives a run to another process if the one it got has ended before it began.

    A process of Prefect waits for a server that goes away, but gives up at once if it has never reached it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._tries: Counter[UUID] = Counter()

    async def __aenter__(self) -> Self:
        """Set it up, or leave nothing open: Prefect's own leaves its task group to whoever handles the error."""
        try:
            return await super().__aenter__()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise

    def emit(self, event: str) -> None:
        """Tell the server what has become of this worker."""
        emit_event(f"platform.worker.{event}", resource=self._event_resource())

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Run it; raises httpx.HTTPError if the server does not come back."""
        result = await super().run(flow_run, configuration, KilledFirst(task_status or anyio.TASK_STATUS_IGNORED))
        if result.status_code and await self._begins_again(flow_run):
            return result.model_copy(update={"status_code": 0})  # which makes nobody call it Crashed
        return result

    async def _begins_again(self, before: FlowRun) -> bool:
        now = await self.client.read_flow_run(before.id)
        began = now.run_count > before.run_count
        self._tries[before.id] += 1
        if began or now.state_type not in (StateType.PENDING, StateType.CRASHED) or self._tries[before.id] >= TRIES:
            del self._tries[before.id]
            return False
        log.warning("The process of %s has ended before it began: it gets another one", now.name)
        await self.client.set_flow_run_state(now.id, Scheduled(message="Its process ended before it began."))
        return True


async def work(worker: Worker, pool: str, drain_seconds: float) -> None:
    """Poll and report until SIGTERM or SIGINT; return when nothing is in flight any more."""
    polling = Polling(worker, pool)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as whole, worker:
            async with anyio.create_task_group() as loops:
                loops.start_soon(every, get_current_settings().worker.query_seconds, polling)
                loops.start_soon(every, worker.heartbeat_interval_seconds, partial(report, worker, pool))
                await anext(aiter(signals))
                loops.cancel_scope.cancel()
            notify("STOPPING=1")
            worker.emit("stopped")
            await drain(worker, drain_seconds)
            if in_flight(worker):  # these did not hear that they are cancelled
                whole.cancel_scope.cancel()


class Polling:
    """Takes what is due; first of all, looks after what an earlier process left.

    It alone tells systemd that the worker is alive: a worker that does not poll is of no use.
    """

    def __init__(self, worker: ProcessWorker, pool: str) -> None:
        self._worker = worker
        self._pool = pool
        self._ready = False

    async def __call__(self) -> None:
        """Raises httpx.HTTPError."""
        notify("WATCHDOG=1")
        if not self._ready:
            await take_over(self._worker, self._pool)
        await self._worker.get_and_submit_flow_runs()
        if not self._ready:
            self._ready = True
            log.info("Polling the pool %s as %s", self._pool, self._worker.name)
            notify("READY=1")


async def every(seconds: float, call: Callable[[], Awaitable[object]]) -> None:
    """Call again and again. A server that is away is waited for, a refusal is raised."""
    away = False
    while True:
        try:
            with anyio.fail_after(PATIENCE):
                await call()
        except (httpx.HTTPError, TimeoutError) as error:
            if isinstance(error, httpx.HTTPStatusError) and not error.response.is_server_error:
                raise
            if not away:
                log.warning("The server is away (%s); it is tried again", type(error).__name__)
            away = True
        else:
            if away:
                log.warning("The server is back")
            away = False
        await anyio.sleep(seconds)


async def report(worker: Worker, pool: str) -> None:
    """Tell the server that the worker is there, and what becomes of runs that are Crashed or were never named."""
    await worker.sync_with_backend()
    worker.emit("heartbeat")  # after the server has answered: a late one would report an old silence
    await retry(worker, pool)
    await take_again(worker, pool)


async def take_over(worker: ProcessWorker, pool: str) -> None:
    """End what died with an earlier process of this name: systemd leaves nothing of it alive.

    What was being cancelled is ended by the server.
    """
    unfinished = FlowRunFilterState(
        operator="or_",
        type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING]),
        name=FlowRunFilterStateName(any_=["AwaitingRetry"]),
    )
    for run in await runs_of(worker, pool, FlowRunFilter(state=unfinished)):
        if bears(run) == worker.name and (state := after_death(run)):
            log.warning("%s was left by an earlier worker: it is %s now", run.name, state.name)
            await worker.client.set_flow_run_state(run.id, state)


async def retry(worker: ProcessWorker, pool: str) -> None:
    """Schedule again what is Crashed, whoever says so, and has retries left. The server retries failed runs only."""
    crashed = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
        end_time=FlowRunFilterEndTime(after_=datetime.now(UTC) - RETRIED_FOR),
    )
    for run in await runs_of(worker, pool, crashed):
        # One that is in flight lives, whatever the server thinks of it.
        dead = bears(run) == worker.name and run.id not in in_flight(worker)
        if dead and retries_left(run) and await died_at_work(worker, run):
            delay = run.empirical_policy.retry_delay or 0
            log.warning("%s has Crashed and is retried in %s s", run.name, delay)
            when = datetime.now(UTC) + timedelta(seconds=delay)
            with suppress(ObjectNotFound):  # deleted meanwhile
                again = AwaitingRetry(scheduled_time=when, message="It has Crashed, and has retries left.")
                await worker.client.set_flow_run_state(run.id, again)


def retries_left(run: FlowRun) -> bool:
    """As the server counts them for runs that fail."""
    return bool(run.deployment_id) and run.run_count <= (run.empirical_policy.retries or 0)


async def died_at_work(worker: ProcessWorker, run: FlowRun) -> bool:
    """Whether it was Running, or waiting for a retry of its own: not one that never began, or was being cancelled."""
    history = sorted(await worker.client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    last = next((state for state in reversed(history) if not state.is_crashed()), None)
    waited = run.empirical_policy.retry_type == "in_process"
    return last is not None and (last.is_running() or (last.is_scheduled() and waited))


async def take_again(worker: ProcessWorker, pool: str) -> None:
    """Schedule again what a worker of the pool took, and died before it put its name on it."""
    pending = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING])))
    for run in await runs_of(worker, pool, pending):
        old = run.state.timestamp < datetime.now(UTC) - NAMED_WITHIN
        if old and not bears(run) and run.id not in in_flight(worker):
            log.warning("%s was taken by a worker that has died: it is scheduled again", run.name)
            await worker.client.set_flow_run_state(run.id, Scheduled(message="Its worker died before it began."))


def bears(run: FlowRun) -> str | None:
    """The name of the worker that has taken a run."""
    return run.labels.get("prefect.worker.name")


async def runs_of(worker: ProcessWorker, pool: str, wanted: FlowRunFilter) -> list[FlowRun]:
    """The runs of the pool, as far as they are wanted."""
    found: list[FlowRun] = []
    while len(found) % PAGE == 0:
        page = await worker.client.read_flow_runs(
            flow_run_filter=wanted,
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
            sort=FlowRunSort.ID_DESC,
            limit=PAGE,
            offset=len(found),
        )
        if not page:
            break
        found += page
    return found


def after_death(run: FlowRun) -> State | None:
    """What becomes of a run whose worker has died; None for one that waits for a worker, whichever it is."""
    match run.state_type:
        case StateType.PENDING:
            return Scheduled(message="Its worker died before it began.")
        case StateType.RUNNING:
            return Crashed(message="Its worker died, and the run with it.")
        case StateType.SCHEDULED if run.empirical_policy.retry_type == "in_process":
            return Crashed(message="Its worker died, and the run with it, while it waited for a retry.")
    return None


async def drain(worker: ProcessWorker, seconds: float) -> None:
    """Let the runs in flight finish, and cancel those that take longer."""
    if running := in_flight(worker):
        log.warning("Stopping: runs in flight may finish within %.0f s: %s", seconds, len(running))
    with anyio.move_on_after(seconds):
        await landed(worker)
    late = in_flight(worker)
    with anyio.move_on_after(CANCELLATION if late else 0), suppress(httpx.HTTPError):
        for run in late:
            message = f"Its worker stopped, and waited for {seconds:.0f} s."
            await worker.client.set_flow_run_state(run, Cancelling(message=message))
        await landed(worker)


def in_flight(worker: ProcessWorker) -> list[UUID]:
    """The runs that have a slot of the worker."""
    return worker.limiter.statistics().borrowers


async def landed(worker: ProcessWorker) -> None:
    """Return when no run is in flight."""
    while in_flight(worker):
        await anyio.sleep(0.2)


def notify(state: str) -> None:
    """Tell systemd, as sd_notify(3) has it."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.connect(address.replace("@", "\0", 1))
            systemd.send(state.encode())


if __name__ == "__main__":
    main()
