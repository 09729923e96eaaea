"""What the load of the fault tests runs."""

import time

from prefect import flow, task
from prefect.concurrency.sync import concurrency
from prefect.runtime import flow_run

# A limit that flows ask for by name, and one of task runs with a tag
LIMIT, TAG = "faults", "faults-held"
MEGABYTE = 1 << 20


@task
def beat() -> str:
    return "beat"


@task(tags=[TAG])
def hold(seconds: float) -> None:
    """Holds a slot of each limit."""
    with concurrency(LIMIT, lease_duration=60, strict=True):
        time.sleep(seconds)


@flow(name="pulse")
def pulse(seconds: float = 0.5, holds: bool = False, megabytes: int = 0) -> None:
    """Takes a little while."""
    beat()
    eaten = [b"x" * MEGABYTE for _ in range(megabytes)]
    if holds:
        hold(seconds)
    else:
        time.sleep(seconds)
    del eaten
    beat()


@flow(name="pulse retried", retries=1, retry_delay_seconds=1)
def retried() -> None:
    """Is to be killed in its first run."""
    beat()
    if flow_run.run_count == 1:
        time.sleep(600)
