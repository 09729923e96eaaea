"""PostgreSQL, read by COPY as CSV: the server sends text as fast as it can, Arrow turns it into columns."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from select import select
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as csv
from psycopg.errors import error_from_result
from psycopg.postgres import types
from psycopg.pq import ExecStatus

from background import ahead
from errors import one_line
from hex_text import from_hex
from postgres_types import ARROW_TYPES

from .decimals import decimal_type
from .errors import SourceError, SourceUnavailable, check_distinct
from .gather import BATCH_BYTES
from .login import Login

# Fixed formats of dates and numbers, independent of the settings of server and role. All settings end with the
# transaction: a pooler such as PgBouncer may hand the session to another client then.
TRANSACTION = """
BEGIN READ ONLY; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'iso_8601';
SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL statement_timeout = 0
"""

# All other types are text as PostgreSQL writes them: uuid, json, interval, arrays, enums, numeric without a precision
TYPE_BY_OID = {types[name].oid: arrow for name, arrow in ARROW_TYPES.items()}


class Postgres:
    """A PostgreSQL database."""

    default_port = 5432

    def __init__(self, login: Login) -> None:
        self._login = login

    def quote(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def columns(self, query: str) -> pa.Schema:
        with self._connect() as connection:
            return _columns(connection, query)

    def batches(self, query: str, batch_size: int) -> Generator[pa.RecordBatch, None, None]:
        with self._connect() as connection:
            schema = _columns(connection, query)
            copy = f"COPY (\n{query}\n) TO STDOUT (FORMAT csv)"
            with closing(ahead(_blocks(connection, copy, batch_size))) as blocks:
                for block in blocks:
                    yield _parse(block, schema, connection.info.encoding)

    @contextmanager
    def _connect(self) -> Iterator[psycopg.Connection[Any]]:
        login = self._login
        try:
            connection = psycopg.connect(
                host=login.host,
                port=login.port or self.default_port,
                dbname=login.database,
                user=login.user,
                password=login.password,
                client_encoding=login.charset or "UTF8",
                connect_timeout=10,
                application_name="db_dump",
                autocommit=True,
            )
            with closing(connection):
                connection.execute(TRANSACTION)
                yield connection
                connection.execute("ROLLBACK")
        except psycopg.OperationalError as error:
            raise SourceUnavailable(f"{login.host}/{login.database}: {one_line(error)}") from error
        except psycopg.Error as error:
            raise SourceError(f"{login.host}/{login.database}: {one_line(error)}") from error


def _columns(connection: psycopg.Connection[Any], query: str) -> pa.Schema:
    select = f"SELECT * FROM (\n{query}\n) AS source LIMIT 0"  # noqa: S608 - the user's own, the session read-only
    description = connection.execute(select).description or []
    check_distinct([column.name for column in description])
    return pa.schema([(column.name, _arrow_type(column)) for column in description])


def _arrow_type(column: psycopg.Column) -> pa.DataType:
    # a numeric without a precision may have any size and scale: only text keeps it exact
    if column.type_code == types["numeric"].oid:
        return decimal_type(column.precision, column.scale) or pa.string()
    return TYPE_BY_OID.get(column.type_code, pa.string())


def _blocks(connection: psycopg.Connection[Any], copy: str, batch_size: int) -> Iterator[bytearray]:
    # COPY sends one message per row, so a block always ends where a row ends. This loop calls libpq directly, as the
    # cursor's own loop takes twice the time.
    libpq, encoding = connection.pgconn, connection.info.encoding
    libpq.nonblocking = 0
    _expect(libpq.exec_(copy.encode(encoding)), ExecStatus.COPY_OUT, encoding)
    next_row, size = libpq.get_copy_data, 1
    while size > 0:
        block = bytearray()
        for _ in range(batch_size):
            size, row = next_row(1)
            while size == 0:
                # psycopg would hold the interpreter's lock while it waits: no other thread could run
                select([libpq.socket], [], [])
                libpq.consume_input()
                size, row = next_row(1)
            if size < 0:
                break
            block += row
            if len(block) >= BATCH_BYTES:
                break
        if block:
            yield block
    _expect(libpq.get_result(), ExecStatus.COMMAND_OK, encoding)
    # the session takes the next statement only after this last, empty answer
    libpq.get_result()


def _expect(result: psycopg.pq.abc.PGresult | None, status: ExecStatus, encoding: str) -> None:
    if result is None:
        raise psycopg.OperationalError("the connection was lost")
    if result.status != status:
        raise error_from_result(result, encoding)


def _parse(block: bytearray, schema: pa.Schema, encoding: str) -> pa.RecordBatch:
    csv_types = {field.name: pa.string() if pa.types.is_binary(field.type) else field.type for field in schema}
    try:
        table = csv.read_csv(
            pa.py_buffer(block),
            # text of another encoding grows up to three times when it becomes UTF-8
            csv.ReadOptions(column_names=schema.names, block_size=3 * len(block) + 1, encoding=encoding),
            # a row whose only column is null is an empty line
            csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types=csv_types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        )
    except (pa.ArrowInvalid, UnicodeError) as error:
        names = ", ".join(f"{number} {name}" for number, name in enumerate(schema.names))
        raise SourceError(
            f"{one_line(error)} (columns: {names}); cast that column to text in execute_query, or set db_charset"
        ) from error
    for number, field in enumerate(schema):
        if pa.types.is_binary(field.type):
            table = table.set_column(number, field, from_hex(table[number], field.type))
    return table.combine_chunks().to_batches()[0]
