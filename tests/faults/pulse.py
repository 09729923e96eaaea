"""What the load of the fault tests runs."""

import time
from contextlib import nullcontext
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.concurrency.sync import concurrency
from prefect.futures import wait
from prefect.runtime import flow_run, task_run

# A limit that flows ask for by name, and one of task runs with a tag
LIMIT, TAG = "faults", "faults-held"
MEGABYTE = 1 << 20
# A file beside this one: from when it is there, `counted` counts.
SIGN = "count"


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


@task(retries=1)
def count(number: int, seconds: float) -> None:
    """Says its number; every tenth needs a second try."""
    time.sleep(seconds)
    if number % 10 == 9 and task_run.run_count == 1:
        raise RuntimeError("the first try of a task")
    get_run_logger().info("count %s", number)


@task(tags=[TAG])
def keep(seconds: float, sign: str | None = None) -> None:
    """Holds a slot of the tag for so many seconds, from the sign on if there is to be one."""
    while sign and not Path(sign).exists():
        time.sleep(0.2)
    time.sleep(seconds)


@flow(name="pulse tagged")
def tagged(seconds: float) -> None:
    """Holds a slot of the tag, and one of its deployment."""
    keep(seconds)


@flow(name="pulse counted", retries=1, retry_delay_seconds=1)
def counted(tasks: int, seconds: float, holds: bool = False, fails: bool = False) -> None:
    """From the sign on, takes so many seconds for its tasks, or for a first try that fails; may hold slots."""
    with concurrency(LIMIT, lease_duration=300, strict=True) if holds else nullcontext():
        kept = [keep.submit(seconds, SIGN)] if holds else []
        while not Path(SIGN).exists():
            time.sleep(0.2)
        if fails and flow_run.run_count == 1:
            time.sleep(seconds)
            raise RuntimeError("the first try of a run")
        for number in range(tasks):
            count(number, 0 if fails else seconds / tasks)
        wait(kept)
