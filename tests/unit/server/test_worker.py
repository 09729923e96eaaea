"""The worker of a process pool: a stop, a restart and a server that is away lose no run."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import anyio
import httpx
import pytest
import waiting
from asking import ask
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling, Crashed, Pending, Running

from host import recovery, worker

ROOT = Path(__file__).parents[3]
PROGRAM = [ROOT / "host", "worker"]
FLOW = '''
import os
import time
from pathlib import Path

from prefect import flow


@flow
def wait(file: str, seconds: float = 60):
    """Says that it has begun, and ends when the file is gone."""
    Path(file).write_text("begun")
    end = time.monotonic() + seconds
    while Path(file).exists() and time.monotonic() < end:
        time.sleep(0.1)


@flow(retries=1)
def dies(file: str, seconds: float = 60):
    """Is there to be killed."""
    with Path(file).open("a") as pids:
        print(os.getpid(), file=pids)
    time.sleep(seconds)
'''


# A worker that waits less long for the label of a run's worker
HASTY = f"""
import sys
from datetime import timedelta

sys.path.insert(0, {str(ROOT)!r})

from host import recovery, worker

recovery.LABELLED_WITHIN = timedelta(seconds=2)
sys.exit(worker.main(*sys.argv[1:]))
"""


until = partial(waiting.until, within=60, what="it comes true")


class Pool:
    """A pool with one deployment, and its worker as systemd would run it."""

    def __init__(self, name: str, server, folder: Path) -> None:
        self.name, self.folder = name, folder
        (folder / "flow.py").write_text(FLOW)
        ask("create_work_pool", WorkPoolCreate(name=name, type="process"))
        self.deployment = self.deploy("wait")
        self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._systemd.bind(str(folder / "notify"))
        self.told: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")} | {
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": server.url,
            "PREFECT_API_AUTH_STRING": server.auth,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "NOTIFY_SOCKET": str(folder / "notify"),
        }
        self.processes: list[subprocess.Popen] = []

    def deploy(self, flow: str) -> UUID:
        """A deployment of one of the flows."""
        return ask(
            "create_deployment",
            ask("create_flow_from_name", f"{self.name}-{flow}"),
            flow,
            entrypoint=f"flow.py:{flow}",
            work_pool_name=self.name,
            work_queue_name="default",
            job_variables={"command": f"{sys.executable} -m prefect.engine"},
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(self.folder)}}],
        )

    def start(self, drain: float = 30, program: Sequence[object] = PROGRAM, **environment: str) -> subprocess.Popen:
        """Start its worker."""
        command = [sys.executable, *program, "--pool", self.name, "--name", f"here-{self.name}"]
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                [*map(str, command), "--drain-seconds", str(drain)],
                env=self._environment | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def _listen(self) -> None:
        while True:
            self.told.append(self._systemd.recv(100).decode())

    def heard(self, word: str) -> bool:
        """Whether systemd was told this."""
        return word in self.told

    def run(self, job_variables: dict | None = None, flow: UUID | None = None, **parameters) -> tuple[UUID, Path]:
        """A run, which goes on until its file is removed unless it is another flow's."""
        file = self.folder / f"run-{time.monotonic_ns()}"
        given = {"parameters": {"file": str(file)} | parameters, "job_variables": job_variables}
        run = ask("create_flow_run_from_deployment", flow or self.deployment, **given)
        return run.id, file

    def reports(self, times: int) -> None:
        """Wait until its worker has looked after its runs this many times more."""
        for _ in range(times + 1):  # one may have begun
            before = self._last_report()
            until(lambda before=before: self._last_report() != before)

    def _last_report(self) -> object:
        return [worker.last_heartbeat_time for worker in ask("read_workers_for_work_pool", self.name)]

    @property
    def log(self) -> str:
        """What the workers have said."""
        return (self.folder / "log").read_text()


@pytest.fixture
def pool(prefect_server, settings, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pool]:
    pool = Pool(f"pool-{abs(hash(request.node.name)) % 10**8}", prefect_server, tmp_path)
    yield pool
    for process in pool.processes:
        process.kill()
        process.wait()


def state(run: UUID) -> str:
    found: FlowRun = ask("read_flow_run", run)
    return found.state.name


def history(run: UUID) -> list[str]:
    states = sorted(ask("read_flow_run_states", run), key=lambda state: state.timestamp)
    return [state.name for state in states]


def test_a_stop_lets_runs_finish_and_takes_no_more(pool: Pool) -> None:
    process = pool.start()
    until(lambda: pool.heard("READY=1"))
    run, file = pool.run()
    until(file.exists)
    process.send_signal(signal.SIGTERM)
    until(lambda: pool.heard("STOPPING=1"))
    later, _ = pool.run()
    assert process.poll() is None
    file.unlink()
    assert process.wait(120) == 0
    assert (state(run), state(later)) == ("Completed", "Scheduled")


def test_what_takes_longer_is_cancelled(pool: Pool) -> None:
    process = pool.start(drain=1)
    until(lambda: pool.heard("READY=1"))
    run, file = pool.run()
    until(file.exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(180) == 0
    assert state(run) == "Cancelled"


def test_what_a_killed_worker_left_is_crashed_or_scheduled_again(pool: Pool) -> None:
    killed = pool.start()
    until(lambda: pool.heard("READY=1"))
    run, file = pool.run()
    until(file.exists)
    killed.kill()
    pending, _ = pool.run()
    elsewhere, _ = pool.run()
    own, other = {"prefect.worker.name": f"here-{pool.name}"}, {"prefect.worker.name": "another"}
    for taken, labels in ((pending, own), (elsewhere, other)):
        ask("set_flow_run_state", taken, Pending())
        ask("update_flow_run_labels", taken, labels)
    ask("set_flow_run_state", elsewhere, Running())
    pool.told.clear()
    pool.start()
    until(lambda: pool.heard("READY=1"))
    until(lambda: state(pending) in ("Running", "Completed"))
    assert state(run) == "Crashed"
    assert state(elsewhere) == "Running"
    assert ask("read_flow_run", pending).run_count == 1


def test_a_run_that_is_crashed_has_the_retries_of_its_flow(pool: Pool) -> None:
    pool.start(PREFECT_WORKER_HEARTBEAT_SECONDS="1")
    run, file = pool.run(flow=pool.deploy("dies"))
    for count in (1, 2):
        until(lambda count=count: file.exists() and len(file.read_text().split()) == count)
        os.kill(int(file.read_text().split()[-1]), signal.SIGKILL)
    until(lambda: history(run).count("Crashed") == 2)
    pool.reports(2)
    told = [name for name in history(run) if name in ("Running", "Crashed", "AwaitingRetry")]
    assert told == ["Running", "Crashed", "AwaitingRetry", "Running", "Crashed"]


def test_the_kernel_kills_runs_before_the_worker_when_memory_runs_out(pool: Pool) -> None:
    process = pool.start()
    _, file = pool.run(flow=pool.deploy("dies"), seconds=3)
    until(lambda: file.exists() and file.read_text())
    run = int(file.read_text())
    worker_score, run_score = (int(Path(f"/proc/{pid}/oom_score").read_text()) for pid in (process.pid, run))
    assert run_score > worker_score + 100


def test_what_a_killed_worker_left_is_retried(pool: Pool) -> None:
    killed = pool.start()
    run, file = pool.run(flow=pool.deploy("dies"), seconds=3)
    until(lambda: file.exists() and file.read_text())
    killed.kill()
    os.kill(int(file.read_text()), signal.SIGKILL)  # as systemd does
    pool.start(PREFECT_WORKER_HEARTBEAT_SECONDS="1")
    until(lambda: state(run) == "Completed")
    assert "Crashed" in history(run)
    assert ask("read_flow_run", run).run_count == 2


def test_what_was_taken_and_never_named_is_scheduled_again(pool: Pool) -> None:
    assert timedelta(seconds=30) == recovery.LABELLED_WITHIN
    hasty = pool.folder / "hasty.py"
    hasty.write_text(HASTY)
    run, file = pool.run()
    ask("set_flow_run_state", run, Pending())
    pool.start(program=[hasty], PREFECT_WORKER_HEARTBEAT_SECONDS="1")
    until(file.exists)
    file.unlink()
    until(lambda: state(run) == "Completed")
    assert history(run)[:4] == ["Scheduled", "Pending", "Scheduled", "Pending"]


def test_neither_what_lives_nor_what_was_to_be_cancelled_is_retried(pool: Pool) -> None:
    dies = pool.deploy("dies")
    pool.start(PREFECT_WORKER_HEARTBEAT_SECONDS="1", PREFECT_RUNNER_POLL_FREQUENCY="60")
    runs = [pool.run(flow=dies, seconds=30) for _ in range(2)]
    for _, file in runs:
        until(lambda file=file: file.exists() and file.read_text())
    (lives, _), (unwanted, file) = runs
    ask("set_flow_run_state", lives, Crashed())
    ask("set_flow_run_state", unwanted, Cancelling())
    os.kill(int(file.read_text()), signal.SIGKILL)
    ask("set_flow_run_state", unwanted, Crashed())
    pool.reports(2)
    assert "AwaitingRetry" not in history(lives) + history(unwanted)


def test_only_polls_are_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    told, reports = [], []

    class Hanging:
        _ready = True

        async def get_and_submit_flow_runs(self) -> None:
            await anyio.sleep_forever()

    async def report() -> None:
        reports.append(1)

    async def both() -> None:
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as loops:
                loops.start_soon(worker.every, 0.1, partial(worker.Worker._poll, Hanging()))
                loops.start_soon(worker.every, 0.1, report)

    monkeypatch.setattr(worker, "notify", told.append)
    anyio.run(both)
    assert len(reports) > 3
    assert told == ["WATCHDOG=1"]


def test_no_heartbeat_is_of_a_time_when_the_server_was_away() -> None:
    said: list[str] = []

    class Cut:
        _emit = said.append

        async def sync_with_backend(self) -> None:
            raise httpx.ConnectError("cut off")

    with pytest.raises(httpx.ConnectError):
        anyio.run(worker.Worker._report, Cut())
    assert not said, "sent late, it would tell of a silence that is over"


def test_a_server_that_is_away_is_waited_for(pool: Pool, prefect_server) -> None:
    away = pool.start(PREFECT_API_URL="http://127.0.0.1:9/api")
    until(lambda: "The server is away" in pool.log)
    until(lambda: pool.told.count("WATCHDOG=1") > 3)
    assert away.poll() is None
    assert not pool.heard("READY=1")
    away.send_signal(signal.SIGTERM)
    assert away.wait(120) == 0


@pytest.mark.parametrize(("fails", "end"), [(2, "Completed"), (3, "Crashed")])
def test_a_run_whose_process_ends_before_it_began_gets_another(pool: Pool, fails: int, end: str) -> None:
    counted = f"echo >>tries; test $(wc -l <tries) -gt {fails}"
    command = shlex.join(["sh", "-c", f"cd {pool.folder} && {counted} && exec {sys.executable} -m prefect.engine"])
    pool.start()
    run, _ = pool.run(job_variables={"command": command}, seconds=0)
    until(lambda: state(run) == end)
    until(lambda: len((pool.folder / "tries").read_text()) == 3)


def test_a_refusal_ends_it_with_one_line(pool: Pool) -> None:
    process = pool.start(PREFECT_API_AUTH_STRING="admin:wrong")
    assert process.wait(180) == 1
    assert "the server refuses this worker (401): is PREFECT_API_AUTH_STRING right?" in pool.log
    assert "Traceback" not in pool.log
