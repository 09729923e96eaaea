"""Sessions in PostgreSQL, and when a task that had one is tried again."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from prefect.cache_policies import NO_CACHE


@contextmanager
def connect(login: dict) -> Iterator[psycopg.Connection]:
    """One transaction: all of the work in it is kept, or none. Days begin at midnight UTC."""
    try:
        # on this side parameters become text, so that a file may hold several statements that have some
        with psycopg.connect(**login, connect_timeout=10, cursor_factory=psycopg.ClientCursor) as connection:
            # both end with the transaction: a pooler may hand the session to another client then
            connection.execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'")
            yield connection
    except psycopg.Error as error:
        # PostgreSQL's own words, in one line
        raise type(error)(" ".join(str(error).split())) from None


def lost(_task, _run, state) -> bool:
    """Whether it was the connection that failed: another try may help."""
    return isinstance(state.result(raise_on_failure=False), psycopg.OperationalError)


# For @task(**retrying)
retrying = {"retries": 2, "retry_delay_seconds": 10, "retry_condition_fn": lost, "cache_policy": NO_CACHE}
