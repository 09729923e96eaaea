"""PostgreSQL, read by COPY as CSV: the server sends text as fast as it can, Arrow turns it into columns."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from select import select

import psycopg
import pyarrow as pa
import pyarrow.csv as csv
from psycopg.errors import error_from_result
from psycopg.postgres import types
from psycopg.pq import ExecStatus

from background import ahead

from .decimals import decimal_type
from .errors import SourceError, SourceUnavailable, check_names, one_line
from .login import Login

# Rows can be wide: a batch ends at this many bytes even when it is short of rows
BATCH_BYTES = 64 * 1024 * 1024

# One way of writing dates and numbers, whatever the server's or the role's settings say. All of it ends with the
# transaction: a pooler such as PgBouncer may hand the session to another client then.
TRANSACTION = """
BEGIN READ ONLY; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'iso_8601';
SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL statement_timeout = 0
"""

# What is not here is text as PostgreSQL writes it: uuid, json, interval, arrays, enums, numeric without a precision
ARROW_TYPES = {
    types[name].oid: arrow
    for name, arrow in {
        "bool": pa.bool_(),
        "int2": pa.int16(),
        "int4": pa.int32(),
        "int8": pa.int64(),
        "float4": pa.float32(),
        "float8": pa.float64(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", "UTC"),
        "bytea": pa.binary(),
    }.items()
}


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

    def batches(self, query: str, batch_size: int) -> Iterator[pa.RecordBatch]:
        with self._connect() as connection:
            schema = _columns(connection, query)
            copy = f"COPY (\n{query}\n) TO STDOUT (FORMAT csv)"
            with closing(ahead(_blocks(connection, copy, batch_size))) as blocks:
                for block in blocks:
                    yield _parse(block, schema, connection.info.encoding)

    @contextmanager
    def _connect(self) -> Iterator[psycopg.Connection]:
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


def _columns(connection: psycopg.Connection, query: str) -> pa.Schema:
    select = f"SELECT * FROM (\n{query}\n) AS source LIMIT 0"  # noqa: S608 - the user's own, the session read-only
    description = connection.execute(select).description
    check_names([column.name for column in description])
    return pa.schema([(column.name, _arrow_type(column)) for column in description])


def _arrow_type(column: psycopg.Column) -> pa.DataType:
    # Without a precision a numeric may be of any size and scale: text alone keeps it exact
    if column.type_code == types["numeric"].oid and column.precision:
        return decimal_type(column.precision, column.scale) or pa.string()
    return ARROW_TYPES.get(column.type_code, pa.string())


def _blocks(connection: psycopg.Connection, copy: str, batch_size: int) -> Iterator[bytearray]:
    # COPY sends one message a row, so a block always ends where a row ends. libpq is asked for each of them, as the
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
                # psycopg would wait holding the interpreter's lock: no other thread could run
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
    # only after the last answer, which is none, does the session take another statement
    libpq.get_result()


def _expect(result: psycopg.pq.abc.PGresult | None, status: ExecStatus, encoding: str) -> None:
    if result is None:
        raise psycopg.OperationalError("the connection was lost")
    if result.status != status:
        raise error_from_result(result, encoding)


def _parse(block: bytearray, schema: pa.Schema, encoding: str) -> pa.RecordBatch:
    read_as = {field.name: pa.string() if pa.types.is_binary(field.type) else field.type for field in schema}
    try:
        table = csv.read_csv(
            pa.py_buffer(block),
            # text written in another encoding grows up to three times when it becomes UTF-8
            csv.ReadOptions(column_names=schema.names, block_size=3 * len(block) + 1, encoding=encoding),
            # a row of one column that is null is an empty line
            csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types=read_as,
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
            values = [None if text is None else bytes.fromhex(text[2:]) for text in table[number].to_pylist()]
            table = table.set_column(number, field, pa.array(values, field.type))
    return table.combine_chunks().to_batches()[0]
