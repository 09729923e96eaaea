"""Sessions in PostgreSQL, and the retries of the tasks that use them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import psycopg
from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def connect(login: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """A transaction: its work is kept as a whole or not at all. Days begin at midnight UTC."""
    try:
        # the client fills in parameters, so that a file may contain several statements with parameters
        with psycopg.connect(**login, connect_timeout=10, cursor_factory=psycopg.ClientCursor) as connection:
            # both settings end with the transaction: a pooler may hand the session to another client then
            connection.execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'")
            yield connection
    except psycopg.Error as error:
        # PostgreSQL's message, in one line
        raise type(error)(" ".join(str(error).split())) from None


def connection_lost(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the connection failed: another try may help."""
    return isinstance(state.result(raise_on_failure=False), psycopg.OperationalError)


def retrying(task_run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a task of this name, retried when its connection is lost."""
    return task(
        task_run_name=task_run_name,
        retries=2,
        retry_delay_seconds=10,
        retry_condition_fn=connection_lost,
        cache_policy=NO_CACHE,
    )
