"""MariaDB and MySQL, read through a server-side cursor as text that Arrow casts column by column."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pymysql
from pymysql import converters
from pymysql.constants import ER, FIELD_TYPE, FLAG
from pymysql.cursors import SSCursor

from .errors import SourceError, SourceUnavailable, check_names, one_line
from .login import Login

# Rows become Arrow in slices of this many, as Python objects take many times the memory
SLICE_ROWS = 1000
BATCH_BYTES = 64 * 1024 * 1024
BINARY_CHARSET = 63

# The connection's own errors, and those of a server that is full, stopping, or gives up on a lock
CLIENT_ERRORS = range(2000, 3000)
PASSING_ERRORS = {
    ER.CON_COUNT_ERROR,
    ER.SERVER_SHUTDOWN,
    ER.TOO_MANY_USER_CONNECTIONS,
    ER.LOCK_WAIT_TIMEOUT,
    ER.LOCK_DEADLOCK,
    1927,  # the connection was killed
}

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
# What is not here is text (JSON, ENUM, SET; TIME, which may exceed a day) or binary (BLOB, BIT, GEOMETRY)
ARROW_TYPES = {
    FIELD_TYPE.FLOAT: pa.float32(),
    FIELD_TYPE.DOUBLE: pa.float64(),
    FIELD_TYPE.DATE: pa.date32(),
    FIELD_TYPE.DATETIME: pa.timestamp("us"),
    FIELD_TYPE.TIMESTAMP: UTC,
}


class MySQL:
    """A MariaDB or MySQL database."""

    default_port = 3306

    def __init__(self, login: Login) -> None:
        self._login = login

    def quote(self, identifier: str) -> str:
        return "`" + identifier.replace("`", "``") + "`"

    def columns(self, query: str) -> pa.Schema:
        with self._execute(f"SELECT * FROM (\n{query}\n) AS source LIMIT 0") as cursor:  # noqa: S608 - the user's own
            return _columns(cursor)

    def batches(self, query: str, batch_size: int) -> Iterator[pa.RecordBatch]:
        with self._execute(query) as cursor:
            schema = _columns(cursor)
            gathered, rows, size = [], 0, 0
            while slice_ := cursor.fetchmany(min(SLICE_ROWS, batch_size - rows)):
                batch = _parse(slice_, schema)
                gathered.append(batch)
                rows += batch.num_rows
                size += batch.nbytes
                if rows >= batch_size or size >= BATCH_BYTES:
                    yield pa.concat_batches(gathered)
                    gathered, rows, size = [], 0, 0
            if gathered:
                yield pa.concat_batches(gathered)

    @contextmanager
    def _execute(self, query: str) -> Iterator[SSCursor]:
        login = self._login
        connection = cursor = None
        try:
            connection = pymysql.connect(
                host=login.host,
                port=login.port or self.default_port,
                database=login.database,
                user=login.user,
                password=login.password,
                charset=login.charset or "utf8mb4",
                connect_timeout=10,
                init_command="SET SESSION TRANSACTION READ ONLY",
                cursorclass=SSCursor,
                # Python values may go in; what comes out stays text
                conv=converters.encoders,
            )
            cursor = connection.cursor()
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute(query)
            yield cursor
        except (pymysql.Error, LookupError) as error:
            kind = SourceUnavailable if _passing(error) else SourceError
            raise kind(f"{login.host}/{login.database}: {one_line(error)}") from error
        finally:
            if cursor and cursor._result:
                # or closing would first read every row that is left
                cursor._result.unbuffered_active = False
            if connection:
                connection.close()


def _passing(error: Exception) -> bool:
    code = error.args[0] if error.args else None
    return code in PASSING_ERRORS or code in CLIENT_ERRORS


def _columns(cursor: SSCursor) -> pa.Schema:
    fields = cursor._result.fields
    check_names([field.name for field in fields])
    return pa.schema([(field.name, _arrow_type(field)) for field in fields])


def _arrow_type(field: pymysql.protocol.FieldDescriptorPacket) -> pa.DataType:
    unsigned = bool(field.flags & FLAG.UNSIGNED)
    if field.type_code in INTEGERS:
        return INTEGERS[field.type_code][unsigned]
    if field.type_code == FIELD_TYPE.NEWDECIMAL:
        # the length counts the sign and the point too
        precision = field.length - (not unsigned) - bool(field.scale)
        return pa.decimal128(precision, field.scale) if precision <= 38 else pa.decimal256(precision, field.scale)
    if field.type_code in ARROW_TYPES:
        return ARROW_TYPES[field.type_code]
    binary = field.type_code in (FIELD_TYPE.BIT, FIELD_TYPE.GEOMETRY) or field.charsetnr == BINARY_CHARSET
    return pa.binary() if binary and field.type_code != FIELD_TYPE.TIME else pa.string()


def _parse(rows: list[tuple], schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field, values in zip(schema, zip(*rows, strict=True), strict=True):
        try:
            text = pa.array(values, pa.binary() if pa.types.is_binary(field.type) else pa.string())
            if field.type == UTC:
                # the session is in UTC, the text does not say so
                text = pc.assume_timezone(pc.cast(text, pa.timestamp("us")), "UTC")
            arrays.append(pc.cast(text, field.type))
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"column {field.name}: {one_line(error)}; cast it to text in execute_query (CAST({field.name} AS char))"
            ) from error
    return pa.record_batch(arrays, schema=schema)
