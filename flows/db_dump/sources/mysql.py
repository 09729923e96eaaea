"""MariaDB and MySQL, read as a prepared statement: rows arrive in binary, and become Arrow column by column."""

import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pymysql
from pymysql.connections import MySQLResult
from pymysql.constants import COMMAND, ER, FIELD_TYPE, FLAG
from pymysql.cursors import Cursor
from pymysql.protocol import FieldDescriptorPacket

from errors import one_line

from .errors import SourceError, SourceUnavailable, check_distinct
from .gather import gather
from .login import Login
from .mysql_rows import blocks, decode

BINARY_CHARSET = 63

# The connection's own errors, and errors of a server that is full, stops, or gives up on a lock
CLIENT_ERRORS = range(2000, 3000)
TRANSIENT_ERRORS = {
    ER.CON_COUNT_ERROR,
    ER.SERVER_SHUTDOWN,
    ER.TOO_MANY_USER_CONNECTIONS,
    ER.LOCK_WAIT_TIMEOUT,
    ER.LOCK_DEADLOCK,
    1927,  # the connection was killed
}

SETTINGS = "SET time_zone = %s, net_write_timeout = %s"

UTC = pa.timestamp("us", "UTC")

# Signed and unsigned
INTEGERS = {
    FIELD_TYPE.TINY: (pa.int8(), pa.uint8()),
    FIELD_TYPE.SHORT: (pa.int16(), pa.uint16()),
    FIELD_TYPE.YEAR: (pa.int16(), pa.uint16()),
    FIELD_TYPE.INT24: (pa.int32(), pa.uint32()),
    FIELD_TYPE.LONG: (pa.int32(), pa.uint32()),
    FIELD_TYPE.LONGLONG: (pa.int64(), pa.uint64()),
}
ARROW_TYPES = {
    FIELD_TYPE.FLOAT: pa.float32(),
    FIELD_TYPE.DOUBLE: pa.float64(),
    FIELD_TYPE.DATE: pa.date32(),
    FIELD_TYPE.DATETIME: pa.timestamp("us"),
    FIELD_TYPE.TIMESTAMP: UTC,
}


class Column(NamedTuple):
    """A column: the type that the server sends, and the type of the dump."""

    name: str
    sent: pa.DataType
    type: pa.DataType
    scale: int
    encoded: bool


class MySQL:
    """A MariaDB or MySQL database."""

    default_port = 3306

    def __init__(self, login: Login) -> None:
        self._login = login

    def quote(self, identifier: str) -> str:
        return "`" + identifier.replace("`", "``") + "`"

    def columns(self, query: str) -> pa.Schema:
        with self._connect() as connection:
            cursor = connection.cursor()
            cursor.execute(f"SELECT * FROM (\n{query}\n) AS source LIMIT 0")  # noqa: S608 - the user's own
            return _schema([_column(field) for field in cursor._result.fields])

    def batches(self, query: str, batch_size: int) -> Generator[pa.RecordBatch, None, None]:
        with self._connect() as connection, _execute(connection, query) as fields:
            columns = [_column(field) for field in fields]
            rows = blocks(connection._rfile, connection.encoding)
            yield from gather((_parse(*block, columns, connection.encoding) for block in rows), batch_size)

    @contextmanager
    def _connect(self) -> Iterator[pymysql.Connection]:
        login = self._login
        connection = None
        try:
            connection = pymysql.connect(
                host=login.host,
                port=login.port or self.default_port,
                database=login.database,
                user=login.user,
                password=login.password,
                charset=login.charset or "utf8mb4",
                connect_timeout=10,
            )
            with _transaction(connection.cursor()):
                yield connection
        except (pymysql.Error, OSError, LookupError) as error:
            kind = SourceUnavailable if _is_transient(error) else SourceError
            raise kind(f"{login.host}/{login.database}: {one_line(error)}") from error
        finally:
            if connection:
                connection.close()


@contextmanager
def _transaction(cursor: Cursor) -> Iterator[None]:
    """A read-only transaction. It restores the session's settings: a pooler may hand the session to another client."""
    cursor.execute("SELECT @@SESSION.time_zone, @@SESSION.net_write_timeout")
    original_settings = cursor.fetchone()
    # by default the server closes a connection that nobody reads from for a minute; writing a batch may take longer
    cursor.execute(SETTINGS, ("+00:00", 3600))
    cursor.execute("START TRANSACTION READ ONLY")
    yield
    cursor.execute("ROLLBACK")
    cursor.execute(SETTINGS, original_settings)


def _is_transient(error: Exception) -> bool:
    code = error.args[0] if error.args else None
    return isinstance(error, OSError) or code in TRANSIENT_ERRORS or code in CLIENT_ERRORS


@contextmanager
def _execute(connection: pymysql.Connection, query: str) -> Iterator[list[FieldDescriptorPacket]]:
    """The columns of the rows. The rows follow in the protocol's binary form, and all must be read."""
    connection._execute_command(COMMAND.COM_STMT_PREPARE, query)
    statement, columns, parameters = struct.unpack_from("<xIHH", connection._read_packet().get_all_data())
    if not columns:
        raise SourceError("execute_query: returns no result set; write a SELECT")
    # skip the descriptions of parameters and columns; the columns come again with the rows
    for _ in range(sum(count + 1 for count in (parameters, columns) if count)):
        connection._read_packet()
    connection._execute_command(COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", statement, 0, 1))
    result = MySQLResult(connection)
    result.init_unbuffered_query()
    # otherwise the end of this object would read all rows
    result.unbuffered_active = False
    yield result.fields
    # the server does not answer it
    connection._execute_command(COMMAND.COM_STMT_CLOSE, struct.pack("<I", statement))


def _schema(columns: list[Column]) -> pa.Schema:
    check_distinct([column.name for column in columns])
    return pa.schema([(column.name, column.type) for column in columns])


def _column(field: FieldDescriptorPacket) -> Column:
    code, unsigned = field.type_code, bool(field.flags & FLAG.UNSIGNED)
    if code in INTEGERS:
        sent = type_ = INTEGERS[code][unsigned]
    elif code in ARROW_TYPES:
        sent = type_ = ARROW_TYPES[code]
    elif code == FIELD_TYPE.TIME:
        # it may exceed a day
        sent, type_ = pa.duration("us"), pa.string()
    elif code == FIELD_TYPE.NEWDECIMAL:
        # the length includes sign and decimal point
        precision = field.length - (not unsigned) - bool(field.scale)
        decimal = pa.decimal128 if precision <= 38 else pa.decimal256
        sent = type_ = decimal(precision, field.scale)
    else:
        # ENUM, SET and JSON are text, too; MySQL marks JSON as binary
        binary = code in (FIELD_TYPE.BIT, FIELD_TYPE.GEOMETRY) or field.charsetnr == BINARY_CHARSET
        binary &= code != FIELD_TYPE.JSON
        sent, type_ = pa.binary(), pa.binary() if binary else pa.string()
    # columns marked as binary are sent as they are, not in the encoding of the connection
    encoded = field.charsetnr != BINARY_CHARSET
    return Column(field.name, sent, type_, field.scale, encoded)


def _parse(block: bytearray, starts: np.ndarray, columns: list[Column], encoding: str) -> pa.RecordBatch:
    arrays: list[pa.Array] = []
    try:
        for array in decode(block, starts, [column.sent for column in columns]):
            arrays.append(_cast(array, columns[len(arrays)], encoding))
    except ValueError as error:
        name = columns[len(arrays)].name
        raise SourceError(
            f"column {name}: {one_line(error)}; cast it in execute_query (CAST({name} AS char), or AS binary)"
        ) from error
    return pa.record_batch(arrays, names=[column.name for column in columns])


def _cast(array: pa.Array, column: Column, encoding: str) -> pa.Array:
    if column.sent == column.type:
        return array
    if pa.types.is_duration(column.sent):
        values = array.view(pa.int64()).to_pylist()
        return pa.array([None if value is None else _time_text(value, column.scale) for value in values], pa.string())
    if column.encoded and encoding != "utf8":
        values = array.to_pylist()
        array = pa.array([None if value is None else value.decode(encoding) for value in values], pa.string())
    return array.cast(pa.string())


def _time_text(microseconds: int, decimals: int) -> str:
    seconds, fraction = divmod(abs(microseconds), 1_000_000)
    text = f"{'-' * (microseconds < 0)}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text + f".{fraction:06}"[: decimals + 1] if decimals else text
