"""SQL Server and Azure SQL, read as Arrow by Microsoft's driver. Not tested against a server.

Beside the driver's wheel it needs two packages of Debian: libltdl7 and libgssapi-krb5-2.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import mssql_python
import pyarrow as pa
from mssql_python.exceptions import sqlstate_to_exception

from errors import one_line

from .errors import SourceError, SourceUnavailable, check_distinct
from .gather import gather
from .login import Login

# The driver allocates memory for all rows of a piece at their full width
PIECE_ROWS = 1000

# No connection, timeouts, deadlock. The driver shows the SQLSTATE by this text only
TRANSIENT_STATES = ("08001", "08004", "08007", "08S01", "40001", "HYT00", "HYT01")
TRANSIENT_ERRORS = {getattr(sqlstate_to_exception(state, ""), "driver_error") for state in TRANSIENT_STATES}  # noqa: B009

PLAIN_TYPES = {
    pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.timestamp("us", "+00:00"): pa.timestamp("us", "UTC"),
    pa.time64("ns"): pa.time64("us"),
}

# Every call opens its own connection, and closes it
mssql_python.pooling(enabled=False)


class SQLServer:
    """A SQL Server database.

    Types are those of the driver: decimals with their precision and scale, datetimeoffset in UTC,
    uniqueidentifier and xml as text. Times are kept to the microsecond; the seventh digit of a time(7) or
    datetime2(7) needs a CAST to varchar in the query, as does a sql_variant.
    """

    default_port = 1433

    def __init__(self, login: Login) -> None:
        if login.charset:
            raise SourceError("db_charset: has no effect on sql_server, which is read as Unicode; leave it out")
        self._login = login

    def quote(self, identifier: str) -> str:
        return "[" + identifier.replace("]", "]]") + "]"

    def literal(self, day: date) -> str:
        # the only date format that does not depend on a language setting
        return f"'{day:%Y%m%d}'"

    def columns(self, query: str) -> pa.Schema:
        with self._execute(f"SELECT TOP 0 * FROM (\n{query}\n) AS source") as cursor:  # noqa: S608 - the user's own
            return _plain(cursor.arrow_batch(0)).schema

    def batches(self, query: str, batch_size: int) -> Generator[pa.RecordBatch, None, None]:
        with self._execute(query) as cursor, cursor.arrow_reader(PIECE_ROWS) as pieces:
            yield from gather(map(_plain, pieces), batch_size)

    @contextmanager
    def _execute(self, query: str) -> Iterator[mssql_python.Cursor]:
        login = self._login
        connection = None
        try:
            connection = mssql_python.connect(**_connection(login))
            cursor = connection.cursor()
            cursor.execute(query)
            check_distinct([column[0] for column in cursor.description or []])
            yield cursor
        except (mssql_python.Error, RuntimeError, pa.ArrowInvalid) as error:
            raise _error_type(error)(f"{login.host}/{login.database}: {_explain(error)}") from error
        finally:
            if connection:
                # SQL Server has no read-only sessions: closing rolls back what the query wrote
                connection.close()


def _connection(login: Login) -> dict[str, Any]:
    return {
        "Server": f"{login.host},{login.port or SQLServer.default_port}",
        "Database": login.database,
        "UID": login.user,
        "PWD": login.password,
        "Encrypt": "yes",
        "TrustServerCertificate": "no",
        "ApplicationIntent": "ReadOnly",
        "autocommit": False,
        "timeout": 10,
    }


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with the types of the other sources: no piece is large enough to need offsets of 64 bits."""
    plain = pa.schema([(field.name, PLAIN_TYPES.get(field.type, field.type)) for field in batch.schema])
    # not safe: cuts the seventh digit of a time
    return batch.cast(plain, safe=False)


def _error_type(error: Exception) -> type[SourceError]:
    return SourceUnavailable if getattr(error, "driver_error", None) in TRANSIENT_ERRORS else SourceError


def _explain(error: Exception) -> str:
    message = one_line(error)
    if "Failed to load the driver" in message:
        return (
            "the driver needs libltdl7 and libgssapi-krb5-2 on the machine that runs the flow: "
            "apt-get install libltdl7 libgssapi-krb5-2"
        )
    if "Unsupported data type" in message:
        return f"{message}; cast that column to varchar in execute_query"
    return message
