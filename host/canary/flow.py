"""The smallest run that proves a worker. It needs Prefect alone, and a folder of its own: a run copies all of it."""

from prefect import flow, task


@task
def sing() -> str:
    """Its end reaches the server as an event."""
    return "tweet"


@flow
def canary() -> str:
    """Has one task run."""
    return sing()
