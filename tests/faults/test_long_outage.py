"""The server and its database are off for ten minutes under twenty runs, which end as if nothing had happened."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from breaking import SERVER, WORKER, began, main_pid
from load import FOLDER, Load
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Log, TaskRun
from prefect.client.schemas.sorting import LogSort, TaskRunSort
from prefect.states import Scheduled
from pulse import LIMIT, SIGN, TAG
from testinfra.host import Host
from waiting import until

OUTAGE = 600  # seconds
# What goes on for longer than that
LONGER = OUTAGE + 20
POOL = "default"
# In the journals. What the client of events could not send is not given up: it says so every two minutes, and keeps it.
GIVEN_UP = re.compile(
    r"HTTPStatusError|Connect(Error|Timeout)|Read(Error|Timeout)|RemoteProtocolError|Error logging to API|"
    r"lease renewal|queue is full|pending items|Crash detected|has ended before it began|Dropping event"
)
# Automations that must not be triggered. That a run is late is true.
ALARMS = [
    "A run that has died is Crashed",
    "A run that was taken and never started is Crashed",
    "A worker is silent",
    "A run has failed",
    "A run was called Crashed and has Completed",
]


@dataclass(frozen=True)
class Counted:
    """A run, and what is to be there of it."""

    id: UUID
    tasks: int
    tries: int = 1
    holds: bool = False


@dataclass(frozen=True)
class Runs:
    """Twenty of them, by what they do when the server goes."""

    running: list[Counted]
    waiting: Counted
    due: list[Counted]
    starting: Counted

    def all(self) -> list[Counted]:
        """In no order."""
        return [*self.running, self.waiting, *self.due, self.starting]


@pytest.fixture
def start(load: Load, client: SyncPrefectClient) -> Callable[..., Counted]:
    """Start a run, now or some seconds ahead; one that holds a slot has a deployment for two at a time."""
    options = {"work_pool_name": POOL, "work_queue_name": "default"}
    free = load.deploy("counted", "outage", **options)
    limited = load.deploy("counted", "outage-limited", concurrency_limit=2, **options)

    def start(tasks: int, seconds: float, ahead: float = 0, holds: bool = False, fails: bool = False) -> Counted:
        when = datetime.now(UTC) + timedelta(seconds=ahead)
        run = client.create_flow_run_from_deployment(
            limited if holds else free,
            parameters={"tasks": tasks, "seconds": seconds, "holds": holds, "fails": fails},
            state=Scheduled(scheduled_time=when),
            tags=["faults"],
        )
        return Counted(run.id, tasks, 2 if fails else 1, holds)

    return start


@pytest.fixture
def full_pool(client: SyncPrefectClient) -> Iterator[Callable[[int], None]]:
    """Let the pool have so many runs at a time, and as many as before at the end."""
    before = client.read_work_pool(POOL).concurrency_limit

    def limit(runs: int | None) -> None:
        client.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=runs))

    yield limit
    limit(before)


@contextmanager
def switched_off(host: Host) -> Iterator[None]:
    """The server and PostgreSQL are off; what looks after the backups, which would fail, is too."""
    cluster = host.check_output("pg_lsclusters --no-header").split()
    database = f"postgresql@{cluster[0]}-{cluster[1]}"
    timers = host.check_output("systemctl list-units --plain --no-legend 'pgbackrest-*.timer'")
    backups = " ".join(line.split()[0] for line in timers.splitlines())
    host.check_output(f"systemctl stop {backups} && systemctl stop {SERVER} && systemctl stop {database}")
    try:
        yield
    finally:
        host.check_output(f"systemctl start {database} && systemctl start {SERVER} && systemctl start {backups}")


def under_way(load: Load, start: Callable[..., Counted], full_pool: Callable[[int], None]) -> Runs:
    """All kinds of runs: they end, go on, fail and hold slots in the outage; or begin then, and wait for a slot."""
    wide = start(200, LONGER)
    ending = [start(4, OUTAGE * share) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
    going = [start(4, LONGER) for _ in range(4)]
    failing = [start(4, OUTAGE * share, fails=True) for share in (0.2, 0.5, 0.8)]
    # One has the slots of `concurrency()` and of a tag, the next is in line for them, and the last for its deployment.
    holding = start(4, LONGER, holds=True)
    began(load, holding.id)
    named = (LIMIT, f"tag:{TAG}")
    until(lambda: all(load.taken()[name] for name in named), within=60, what="a run holds a slot of each kind")
    in_line = start(4, 5, holds=True)
    running = [wide, *ending, *going, *failing, holding, in_line]
    for run in running:
        began(load, run.id)
    waiting = start(4, 5, holds=True)
    until(lambda: state_of(load, waiting) == "AwaitingConcurrencySlot", within=120, what="a run waits for a slot")
    # The pool keeps a single free slot.
    full_pool(len(running) + 1)
    due = [start(4, 5, ahead=OUTAGE * share) for share in (0.3, 0.6, 0.9)]
    starting = start(4, 5)
    taken = ("Pending", "Running")
    until(lambda: state_of(load, starting) in taken, within=120, what="the process of a run is about to begin")
    return Runs(running, waiting, due, starting)


def state_of(load: Load, run: Counted) -> str | None:
    """The name of its state."""
    state = load.state(run.id)
    return state and state.name


def test_all_runs_outlive_a_long_outage(
    host: Host, client: SyncPrefectClient, load: Load, start, full_pool, healthy, recovered, figures
) -> None:
    since = time.time()
    before, worker = alarms(client), main_pid(host, WORKER)
    runs = under_way(load, start, full_pool)
    with switched_off(host):
        host.check_output("touch %s", f"{FOLDER}/{SIGN}")
        time.sleep(OUTAGE)  # the fault itself
    back = datetime.now(UTC)

    def over() -> bool:
        states = [load.state(run.id) for run in runs.all()]
        return all(state and state.is_final() for state in states)

    until(over, within=420, what="all runs are over")
    figures["all runs over after s"] = round((datetime.now(UTC) - back).total_seconds(), 1)
    figures["a new run completed after s"] = recovered()
    for run in runs.all():
        assert history(client, run) == ("Completed", run.tries)
    # They arrive until the process of a run ends, a moment after the run has, and the server stores one by one.
    until(lambda: not any(missing(client, run) for run in runs.all()), within=120, what="task runs and logs are there")
    states = figures["states"] = dict(load.settle())
    assert set(states) == {"Completed"}
    assert alarms(client) == before
    assert main_pid(host, WORKER) == worker
    assert not given_up(host, since)
    assert not refused_calls(host, since, back)
    healthy()


def history(client: SyncPrefectClient, run: Counted) -> tuple[str, int]:
    """The worst that was said of a run, and how often it ran."""
    names = [state.name for state in client.read_flow_run_states(run.id)]
    last = client.read_flow_run(run.id)
    return "Crashed" if "Crashed" in names else last.state.name, last.run_count


def missing(client: SyncPrefectClient, run: Counted) -> list[str]:
    """Which of its task runs and logs are not there, or are there twice."""
    tasks = Counter(task.state_name for task in task_runs(client, run))
    said = logs_of(client, run)
    logs = Counter(log.message for log in said)
    counted = {f"count {number}": logs[f"count {number}"] for number in range(run.tasks)}
    lost = [f"{message}: {times} times" for message, times in counted.items() if times != 1]
    if tasks != Counter({"Completed": run.tasks + run.holds}):
        lost.append(f"task runs: {dict(tasks)}")
    if not any(log.task_run_id is None and log.message.startswith("Finished in state Completed") for log in said):
        lost.append("its last line")
    return lost


def task_runs(client: SyncPrefectClient, run: Counted) -> list[TaskRun]:
    """All task runs of a run."""
    ours = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    found: list[TaskRun] = []
    while page := client.read_task_runs(flow_run_filter=ours, sort=TaskRunSort.ID_DESC, limit=200, offset=len(found)):
        found += page
    return found


def logs_of(client: SyncPrefectClient, run: Counted) -> list[Log]:
    """All that a run has said."""
    ours = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
    found: list[Log] = []
    while page := client.read_logs(ours, sort=LogSort.TIMESTAMP_ASC, limit=200, offset=len(found)):
        found += page
    return found


def alarms(client: SyncPrefectClient) -> Counter[str]:
    """How often each automation has said that a run died or that a worker is silent."""
    triggered = {
        "event": {"name": ["prefect.automation.triggered"]},
        "resource": {"labels": {"prefect.resource.name": ALARMS}},
    }
    events = client.request("POST", "/events/filter", json={"filter": triggered, "limit": 50}).json()["events"]
    return Counter(event["resource"]["prefect.resource.name"] for event in events)


def given_up(host: Host, since: float) -> list[str]:
    """What the worker, its runs and the server said of calls that were given up."""
    said = host.check_output(
        f"journalctl --quiet --no-pager --output cat --since @{since:.0f} --unit {WORKER} --unit {SERVER}"
    )
    return [line for line in said.splitlines() if GIVEN_UP.search(line) and "it is tried again" not in line]


def refused_calls(host: Host, since: float, back: datetime) -> list[str]:
    """Calls that nginx answered with an error, other than those that came while the server was away."""
    log = host.check_output("cat /var/log/nginx/access.log")
    errors = re.findall(r'^\S+ \[(\S+)\] "([^"]*)" (5\d\d) \d+ ([\d.]+) ', log, re.MULTILINE)
    refused = []
    for moment, call, status, seconds in errors:
        came = datetime.fromisoformat(moment) - timedelta(seconds=float(seconds))
        if came.timestamp() > since and (status != "503" or came > back):
            refused.append(f"{moment} {call}: {status}")
    return refused
