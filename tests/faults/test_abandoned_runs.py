"""Runs without a worker end when their time is over, and the operator hears of it."""

import time
from dataclasses import dataclass

import pytest
from breaking import began, crashed_after
from lab import notifications
from load import FOLDER, Load
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Pending
from speed import speed
from testinfra.host import Host
from waiting import until


@dataclass(frozen=True)
class Abandoned:
    """Runs that no worker looks after, and when the process of the first was killed."""

    died: FlowRun
    killed: float
    taken: FlowRun
    late: FlowRun


@pytest.fixture(scope="module")
def abandoned(host: Host, client: SyncPrefectClient, load: Load) -> Abandoned:
    """One whose process dies unseen, as with its host; one that was taken and never started; one that nobody takes."""
    deployment = load.deploy("pulse", "alone")
    parameters = {"seconds": 600}
    died, taken, late = (client.create_flow_run_from_deployment(deployment, parameters=parameters) for _ in range(3))
    for run in (died, taken):
        client.set_flow_run_state(run.id, Pending())
    command = client.read_deployment(deployment).job_variables["command"]
    host.check_output(
        "systemd-run --quiet --collect --unit=faults-alone --uid=prefect-worker-default "
        "--property=SuccessExitStatus=SIGKILL "
        f"--property=EnvironmentFile=/etc/prefect/worker-default.env --setenv=HOME={FOLDER} "
        "--setenv=PREFECT_API_URL=http://127.0.0.1:4200/api --setenv=PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 "
        f"--setenv=PREFECT__FLOW_RUN_ID={died.id} {command}"
    )
    began(load, died.id)
    heartbeat = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{died.id}"]},
    }
    until(
        lambda: client.request("POST", "/events/filter", json={"filter": heartbeat}).json()["total"],
        within=60,
        what="a heartbeat of the run",
    )
    killed = time.time()
    host.check_output("systemctl kill --signal=KILL faults-alone")
    return Abandoned(died, killed, taken, late)


def test_a_run_whose_host_is_gone(load: Load, abandoned: Abandoned, figures) -> None:
    figures["detected after s"] = crashed_after(load, abandoned.died.id, abandoned.killed)
    assert load.state(abandoned.died.id).message == "Nothing was heard of its process for 5 minutes."
    assert figures["detected after s"] < 370 * speed()


def test_a_run_that_nobody_takes_is_told(abandoned: Abandoned) -> None:
    title = f"faults-pulse: {abandoned.late.name} is late"
    until(
        lambda: title in [notification["title"] for notification in notifications()],
        within=60,
        what="a notification arrives",
    )


def test_a_run_that_was_taken_and_never_started(load: Load, abandoned: Abandoned) -> None:
    crashed_after(load, abandoned.taken.id, abandoned.killed)
    message = load.state(abandoned.taken.id).message
    assert message == "It was taken by a worker 5 minutes ago, and has not started."
