"""The databases that can be read. Each is one module here with a class that is a `Source`."""

from collections.abc import Iterator
from importlib import import_module
from typing import Protocol

import pyarrow as pa

from .errors import SourceError, SourceUnavailable
from .login import Login

__all__ = ["Login", "Source", "SourceError", "SourceUnavailable", "open_source"]

# Module and class; a driver is loaded by the runs that need it
SOURCES = {
    "postgres": ("postgres", "Postgres"),
    "mysql": ("mysql", "MySQL"),
    "sql_server": ("sql_server", "SQLServer"),
    "oracle": ("oracle", "Oracle"),
}


class Source(Protocol):
    """What a dump needs from a database. Sessions are read-only and in UTC; every call opens its own connection.

    One whose SQL does not read `'2024-01-31'` as a date has a method `literal(day)` that writes it as it does.
    """

    default_port: int

    def __init__(self, login: Login) -> None: ...

    def quote(self, identifier: str) -> str:
        """The identifier as the database's SQL writes it."""

    def columns(self, query: str) -> pa.Schema:
        """The columns the query gives, without reading rows."""

    def batches(self, query: str, batch_size: int) -> Iterator[pa.RecordBatch]:
        """The query's rows, at most `batch_size` at a time, never all of them in memory."""


def open_source(db_type: str, login: Login) -> Source:
    """The source of this type; connects only when it is asked for something."""
    module, name = SOURCES[db_type]
    return getattr(import_module(f".{module}", __name__), name)(login)
