"""The databases that can be read. Each is one module here with a class that is a `Source`."""

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from .errors import SourceError, SourceUnavailable
from .login import Login
from .mysql import MySQL
from .postgres import Postgres

__all__ = ["Login", "Source", "SourceError", "SourceUnavailable", "open_source"]

SOURCES = {"postgres": Postgres, "mysql": MySQL}


class Source(Protocol):
    """What a dump needs from a database. Sessions are read-only and in UTC; every call opens its own connection."""

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
    if db_type not in SOURCES:
        raise SourceError(f"db_type: {db_type} is not available yet; available are {', '.join(SOURCES)}")
    return SOURCES[db_type](login)
