"""The smallest run that shows that a worker works. It needs nothing but Prefect."""

from prefect import flow, task


@task
def sing() -> str:
    """What travels as an event when it is done."""
    return "tweet"


@flow
def canary() -> str:
    """One task run."""
    return sing()
