"""What the load of the fault tests runs."""

import time

from prefect import flow, task


@task
def beat() -> str:
    return "beat"


@flow(name="pulse")
def pulse(seconds: float = 0.5) -> None:
    """Takes a little while."""
    beat()
    time.sleep(seconds)
    beat()
