"""The worker of a process pool as its unit runs it: a stop, a restart or a kill loses nothing that it has taken.

`prefect worker start` ends its runs at a stop, and also when it cannot reach the server for some minutes. Here a stop
ends the polling only: runs may finish for `--drain-seconds` and are cancelled then, as from the UI. The worker waits
for a server that is away, also with a run that is about to begin. What an earlier process of the same name left, which
died with it, is Crashed, or scheduled again if it had not begun. A Crashed run has the retries of its flow, as a failed
one has them.

The worker tells systemd that it is ready when it has polled for the first time, and at each try to poll that it is
alive. It sends the server an event while it lives, and one when it stops. An automation in flows/resources.yml notifies
you when a worker falls silent.
"""

import argparse
import logging
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Self
from uuid import UUID

import anyio
import anyio.abc
import httpx
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events import emit_event
from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import get_current_settings
from prefect.states import Cancelling, Scheduled
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from host.recovery import Recovery, in_flight

# Seconds for one call to the server: its client would go on trying, each time after twice the wait, and notice
# late that the server is back
PATIENCE = 20
# Seconds for runs that are cancelled: to learn of it, and for their on_cancellation hooks
CANCELLATION = 60
# Added to the score of a run's process: half of what a process with all of the memory has
OOM_SCORE_OF_RUNS = "500"
# Processes that a run gets until one of them begins it
TRIES = 3

log = logging.getLogger("prefect.worker")


def main(*arguments: str) -> str | None:
    """Work until a signal to stop. Returns the error if the server refuses this worker."""
    parser = argparse.ArgumentParser(prog="worker", description=__doc__)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--limit", type=int, default=sys.maxsize, help="runs at a time")
    parser.add_argument("--drain-seconds", type=float, required=True, help="how long runs may go on after a stop")
    options = parser.parse_args(arguments)
    # A worker that stops while the server is away waits for 10 seconds to send its last event, not for two minutes.
    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)
    worker = Worker(options.pool, options.name, options.limit, options.drain_seconds)
    try:
        anyio.run(worker.serve)
    except Exception as error:
        if not (refusal := refusal_behind(error)):
            raise
        return f"the server refuses this worker ({refusal.response.status_code}): is PREFECT_API_AUTH_STRING right?"
    return None


def refusal_behind(error: BaseException | None) -> httpx.HTTPStatusError | None:
    """The answer of the server that caused an error; None if it has another cause."""
    if error is None or isinstance(error, httpx.HTTPStatusError):
        return error
    causes = error.exceptions if isinstance(error, BaseExceptionGroup) else [error.__cause__]
    return next(filter(None, map(refusal_behind, causes)), None)


class KilledFirst(anyio.abc.TaskStatus[int]):
    """Reports the process of a run, which the kernel kills before the worker when memory runs out."""

    def __init__(self, task_status: anyio.abc.TaskStatus[int]) -> None:
        self._task_status = task_status

    def started(self, value: int | None = None) -> None:
        """Raise the score of the process with this id, see proc_pid_oom_score_adj(5), and report it."""
        with suppress(OSError):  # the process may have ended already
            Path(f"/proc/{value}/oom_score_adj").write_text(OOM_SCORE_OF_RUNS)
        self._task_status.started(value)  # type: ignore[arg-type]


class Worker(ProcessWorker):
    """Serves a pool until it is stopped. `drain_seconds` is how long its runs may go on then."""

    def __init__(self, pool: str, name: str, limit: int, drain_seconds: float) -> None:
        super().__init__(work_pool_name=pool, name=name, limit=limit)
        self._pool = pool
        self._drain_seconds = drain_seconds
        self._recovery = Recovery(self, pool)
        self._ready = False
        self._tries: Counter[UUID] = Counter()

    async def __aenter__(self) -> Self:
        """Set it up, or leave nothing open: Prefect's own leaves its task group to the handler of the error."""
        try:
            return await super().__aenter__()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def serve(self) -> None:
        """Poll and report until SIGTERM or SIGINT; return when no run is in flight any more.

        This takes the place of Prefect's `start`, whose loops give up when the server is away. It sends no
        worker-started event, and serves no metrics of Prefect's client.
        """
        poll_seconds = get_current_settings().worker.query_seconds
        duties = (self._report, self._recovery.retry, self._recovery.take_again)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with anyio.create_task_group() as whole, self:
                async with anyio.create_task_group() as loops:
                    loops.start_soon(every, poll_seconds, self._poll)
                    loops.start_soon(every, self.heartbeat_interval_seconds, *duties)
                    await anext(aiter(signals))
                    loops.cancel_scope.cancel()
                notify("STOPPING=1")
                self._emit("stopped")
                await self._drain()
                if in_flight(self):  # these have not learned that they are cancelled
                    whole.cancel_scope.cancel()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Run it, and schedule it again if its process ended before it began.

        A process of Prefect waits for a server that goes away, but gives up at once if it has never reached it.
        Raises httpx.HTTPError if the server does not come back.
        """
        result = await super().run(flow_run, configuration, KilledFirst(task_status or anyio.TASK_STATUS_IGNORED))
        if result.status_code and await self._begins_again(flow_run):
            return result.model_copy(update={"status_code": 0})  # so that nobody calls it Crashed
        del self._tries[flow_run.id]
        return result

    async def _begins_again(self, before: FlowRun) -> bool:
        now = await self.client.read_flow_run(before.id)
        began = now.run_count > before.run_count
        self._tries[before.id] += 1
        if began or now.state_type not in (StateType.PENDING, StateType.CRASHED) or self._tries[before.id] >= TRIES:
            return False
        log.warning("The process of %s has ended before it began: starting a new process", now.name)
        await self.client.set_flow_run_state(now.id, Scheduled(message="Its process ended before it began."))
        return True

    async def _poll(self) -> None:
        """Take what is due; first of all, look after what an earlier process left. Raises httpx.HTTPError.

        Polls alone tell systemd that the worker is alive: a worker that does not poll is useless.
        """
        notify("WATCHDOG=1")
        if not self._ready:
            await self._recovery.take_over()
        await self.get_and_submit_flow_runs()
        if not self._ready:
            self._ready = True
            log.info("Polling the pool %s as %s", self._pool, self.name)
            notify("READY=1")

    async def _report(self) -> None:
        """Report to the server that the worker lives. Raises httpx.HTTPError."""
        await self.sync_with_backend()
        self._emit("heartbeat")  # after the server has answered: a late one would report an old silence

    def _emit(self, event: str) -> None:
        resource: dict[str, str] = self._event_resource()  # type: ignore[no-untyped-call]
        emit_event(f"platform.worker.{event}", resource=resource)

    async def _drain(self) -> None:
        """Let the runs in flight finish, and cancel those that take longer."""
        seconds = self._drain_seconds
        if running := in_flight(self):
            log.warning("Stopping: runs in flight may finish within %.0f s: %s", seconds, len(running))
        with anyio.move_on_after(seconds):
            await self._wait_until_idle()
        late = in_flight(self)
        with anyio.move_on_after(CANCELLATION if late else 0), suppress(httpx.HTTPError):
            for run in late:
                message = f"Its worker stopped, and waited for {seconds:.0f} s."
                await self.client.set_flow_run_state(run, Cancelling(message=message))
            await self._wait_until_idle()

    async def _wait_until_idle(self) -> None:
        """Return when no run is in flight."""
        while in_flight(self):
            await anyio.sleep(0.2)


async def every(seconds: float, *calls: Callable[[], Awaitable[object]]) -> None:
    """Make these calls again and again. A server that is away is waited for, a refusal is raised."""
    away = False
    while True:
        try:
            for call in calls:
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


def notify(state: str) -> None:
    """Tell systemd, as sd_notify(3) has it."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.connect(address.replace("@", "\0", 1))
            systemd.send(state.encode())
