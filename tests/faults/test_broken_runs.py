"""Runs are killed, or take too much, under a steady load."""

import time
from collections.abc import Iterator

import pytest
from breaking import WORKER, began, crashed_after, main_pid, process_of
from load import Load
from prefect.client.orchestration import SyncPrefectClient
from testinfra.host import Host
from waiting import until


def test_the_processes_of_runs_are_killed(
    host: Host, client: SyncPrefectClient, load: Load, ended, healthy, figures
) -> None:
    retried = load.start(load.deploy("retried", work_pool_name="default", work_queue_name="default"))
    with load.steady():
        victim = load.trigger(seconds=600, holds=True)
        began(load, victim)
        began(load, retried)
        until(lambda: all(load.taken().values()), within=60, what="the victim holds a slot of each limit")
        moment = time.time()
        host.check_output("kill -KILL %s %s", process_of(host, victim), process_of(host, retried))
        figures["detected after s"] = crashed_after(load, victim, moment)
    # What holds a slot of the deployment now is of the schedule, and goes on for a second.
    until(lambda: not any(load.taken().values()), within=150, what="the slots of the victim are free")
    figures["slots free after s"] = round(time.time() - moment, 1)
    until(lambda: (state := load.state(retried)) and state.is_completed(), within=150, what="a second run completes")
    assert client.read_flow_run(retried).run_count == 2
    assert "Crashed" in [state.name for state in client.read_flow_run_states(retried)]
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] == 1
    assert set(states) == {"Crashed", "Completed"}


@pytest.fixture
def little_memory(host: Host) -> Iterator[None]:
    """The pool has 2 GB, of which the worker and the load need a quarter."""
    before = host.check_output("systemctl show --property MemoryMax --value %s", WORKER)
    host.check_output("systemctl set-property --runtime %s MemoryMax=2G", WORKER)
    yield
    host.check_output("systemctl set-property --runtime %s MemoryMax=%s", WORKER, before)
    host.check_output("rm -r /run/systemd/system.control/%s.service.d && systemctl daemon-reload", WORKER)


def test_a_run_takes_too_much_memory(
    host: Host, client: SyncPrefectClient, load: Load, little_memory, ended, healthy, figures
) -> None:
    before = main_pid(host, WORKER)
    with load.steady(runs=5):
        going = load.trigger(seconds=20)
        began(load, going)
        victim = load.trigger(seconds=600, megabytes=4096)
        crashed_after(load, victim, time.time())
    run = client.read_flow_run(victim)
    assert "status code: -9" in run.state.message, "the kernel has ended it"
    figures["ended after s"] = round((run.end_time - run.start_time).total_seconds(), 1)
    assert main_pid(host, WORKER) == before
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] == 1
    assert set(states) == {"Crashed", "Completed"}
