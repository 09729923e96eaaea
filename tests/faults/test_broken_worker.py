"""A worker is killed, hangs, or is stopped in good order, under a steady load."""

import time
from collections.abc import Iterator

import pytest
from breaking import WORKER, began, crashed_after, main_pid, restarted
from load import Load
from testinfra.host import Host


def test_a_worker_is_killed(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    with load.steady():
        victim = load.trigger(seconds=600)
        began(load, victim)
        before, moment = main_pid(host, WORKER), time.time()
        host.check_output("kill -KILL %s", before)
        figures["detected after s"] = crashed_after(load, victim, moment)
        restarted(host, WORKER, before)
        figures["a new run completed after s"] = recovered()
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] >= 1
    assert set(states) == {"Crashed", "Completed"}


@pytest.fixture
def impatient(host: Host) -> Iterator[None]:
    """systemd waits for a sign of the worker for 15 seconds only."""
    folder = f"/run/systemd/system/{WORKER}.service.d"
    host.check_output(f"mkdir -p {folder} && printf '[Service]\\nWatchdogSec=15\\n' > {folder}/impatient.conf")
    host.check_output("systemctl daemon-reload && systemctl restart %s", WORKER)
    yield
    host.check_output("rm -r %s && systemctl daemon-reload && systemctl restart %s", folder, WORKER)


def test_a_worker_hangs(host: Host, load: Load, impatient, ended, healthy, recovered, figures) -> None:
    with load.steady():
        victim = load.trigger(seconds=600)
        began(load, victim)
        before, moment = main_pid(host, WORKER), time.monotonic()
        host.check_output("kill -STOP %s", before)
        restarted(host, WORKER, before)
        figures["restarted after s"] = round(time.monotonic() - moment, 1)
        figures["a new run completed after s"] = recovered()
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] >= 1
    assert set(states) == {"Crashed", "Completed"}


def test_a_stop_in_good_order_loses_nothing(host: Host, load: Load, ended, healthy, figures) -> None:
    with load.steady():
        going, slow = load.trigger(seconds=10), load.trigger(seconds=600)
        began(load, going)
        began(load, slow)
        moment = time.monotonic()
        host.check_output("systemctl restart %s", WORKER)
        figures["restarted after s"] = round(time.monotonic() - moment, 1)
    healthy()
    states = figures["states"] = ended()
    assert states["Cancelled"] == 1, "what takes longer than prefect_worker_drain_seconds"
    assert set(states) == {"Cancelled", "Completed"}
