"""The databases that can be read. Each is a module here with a class that is a `Source`."""

from collections.abc import Generator
from importlib import import_module
from typing import Protocol, cast

import pyarrow as pa

from .errors import SourceError, SourceUnavailable
from .login import Login

__all__ = ["Login", "Source", "SourceError", "SourceUnavailable", "open_source"]

# Module and class; a run imports only the driver that it needs
SOURCES = {"postgres": "Postgres", "mysql": "MySQL", "sql_server": "SQLServer", "oracle": "Oracle"}


class Source(Protocol):
    """What a dump needs from a database. Sessions are read-only and in UTC; every call opens its own connection.

    A source whose SQL does not read `'2024-01-31'` as a date has a method `literal(day)` that writes the date.
    """

    default_port: int

    def __init__(self, login: Login) -> None: ...

    def quote(self, identifier: str) -> str:
        """The identifier as the database's SQL writes it."""

    def columns(self, query: str) -> pa.Schema:
        """The columns the query gives, without reading rows."""

    def batches(self, query: str, batch_size: int) -> Generator[pa.RecordBatch, None, None]:
        """The query's rows, at most `batch_size` at a time, never all of them in memory; closing it stops the query."""


def open_source(db_type: str, login: Login) -> Source:
    """The source of this type; it connects with the first call of its methods."""
    source_class = getattr(import_module(f".{db_type}", __name__), SOURCES[db_type])
    return cast(Source, source_class(login))
