"""Oracle, read as Arrow by the thin driver, which needs no Oracle client. Not tested against a server.

Column names come from the database: upper case, unless the table was made otherwise.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import oracledb
import pyarrow as pa

from errors import one_line

from .decimals import decimal_type
from .errors import SourceError, SourceUnavailable, check_distinct
from .gather import gather
from .login import Login

# Rows of one answer of the server, which are in memory at once
PIECE_ROWS = 1000

# A fixed format of numbers, independent of the login's settings; the transaction shows one state of the data
SESSION = (
    "ALTER SESSION SET TIME_ZONE = '+00:00' NLS_NUMERIC_CHARACTERS = '.,'",
    "SET TRANSACTION READ ONLY",
)

# Starting, stopping, busy, or the transaction's snapshot is gone; the driver marks broken connections itself
TRANSIENT_ERRORS = {"DPY-4024", "DPY-6000", "DPY-6005", "ORA-00060", "ORA-01033", "ORA-01034", "ORA-01555", "ORA-12520"}

TIMESTAMP = pa.timestamp("us")
UTC = pa.timestamp("us", "UTC")
AS_TEXT = "TO_CHAR({}, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF')"

# The Arrow type, and the expression to read. Other types have no form in a file: objects, XMLTYPE, BFILE, VECTOR
TYPES = {
    oracledb.DB_TYPE_CHAR: (pa.string(), "{}"),
    oracledb.DB_TYPE_NCHAR: (pa.string(), "{}"),
    oracledb.DB_TYPE_VARCHAR: (pa.string(), "{}"),
    oracledb.DB_TYPE_NVARCHAR: (pa.string(), "{}"),
    oracledb.DB_TYPE_CLOB: (pa.string(), "{}"),
    oracledb.DB_TYPE_NCLOB: (pa.string(), "{}"),
    oracledb.DB_TYPE_LONG: (pa.string(), "{}"),
    oracledb.DB_TYPE_RAW: (pa.binary(), "{}"),
    oracledb.DB_TYPE_LONG_RAW: (pa.binary(), "{}"),
    oracledb.DB_TYPE_BLOB: (pa.binary(), "{}"),
    oracledb.DB_TYPE_BOOLEAN: (pa.bool_(), "{}"),
    oracledb.DB_TYPE_BINARY_FLOAT: (pa.float32(), "{}"),
    oracledb.DB_TYPE_BINARY_DOUBLE: (pa.float64(), "{}"),
    # a DATE has a time of day
    oracledb.DB_TYPE_DATE: (TIMESTAMP, "{}"),
    oracledb.DB_TYPE_TIMESTAMP: (TIMESTAMP, "{}"),
    # the driver would drop the time zone
    oracledb.DB_TYPE_TIMESTAMP_TZ: (UTC, "SYS_EXTRACT_UTC({})"),
    oracledb.DB_TYPE_TIMESTAMP_LTZ: (UTC, "SYS_EXTRACT_UTC({})"),
    oracledb.DB_TYPE_INTERVAL_DS: (pa.string(), "TO_CHAR({})"),
    oracledb.DB_TYPE_INTERVAL_YM: (pa.string(), "TO_CHAR({})"),
    oracledb.DB_TYPE_ROWID: (pa.string(), "ROWIDTOCHAR({})"),
    oracledb.DB_TYPE_JSON: (pa.string(), "JSON_SERIALIZE({} RETURNING CLOB)"),
}


@dataclass(frozen=True)
class Column:
    """A column of the query, and the expression with which the driver reads it without loss."""

    name: str
    type: pa.DataType
    expression: str


class Oracle:
    """An Oracle database; `db_database` is the service name.

    An empty text is null, as in Oracle itself. NUMBER without a precision and TIMESTAMP finer than microseconds
    are text, which keeps all of their digits.
    """

    default_port = 1521

    def __init__(self, login: Login) -> None:
        if login.charset:
            raise SourceError("db_charset: has no effect on oracle, which is read as Unicode; leave it out")
        self._login = login

    def quote(self, identifier: str) -> str:
        # no identifier of Oracle can hold a quotation mark
        return '"' + identifier.replace('"', "") + '"'

    def literal(self, day: date) -> str:
        return f"DATE '{day}'"

    def columns(self, query: str) -> pa.Schema:
        with self._connect() as connection:
            return _schema(self._describe(connection, query))

    def batches(self, query: str, batch_size: int) -> Generator[pa.RecordBatch, None, None]:
        with self._connect() as connection:
            columns = self._describe(connection, query)
            pieces = connection.fetch_df_batches(
                self._select(columns, query), size=PIECE_ROWS, requested_schema=_requested(columns)
            )
            schema = _schema(columns)
            yield from gather((batch for piece in pieces for batch in _typed(piece, schema)), batch_size)

    def _describe(self, connection: oracledb.Connection, query: str) -> list[Column]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM (\n{query}\n) source WHERE 1 = 0")  # noqa: S608 - the user's own
            check_distinct([info.name for info in cursor.description])
            return [_column(info, self.quote(info.name)) for info in cursor.description]

    def _select(self, columns: list[Column], query: str) -> str:
        listed = ", ".join(f"{column.expression} AS {self.quote(column.name)}" for column in columns)
        return f"SELECT {listed} FROM (\n{query}\n) source"  # noqa: S608 - the user's own, the transaction read-only

    @contextmanager
    def _connect(self) -> Iterator[oracledb.Connection]:
        login = self._login
        try:
            with oracledb.connect(
                user=login.user,
                password=login.password,
                host=login.host,
                port=login.port or self.default_port,
                service_name=login.database,
                tcp_connect_timeout=10,
            ) as connection:
                with connection.cursor() as cursor:
                    for statement in SESSION:
                        cursor.execute(statement)
                yield connection
        except oracledb.Error as error:
            kind = SourceUnavailable if _is_transient(error) else SourceError
            raise kind(f"{login.host}/{login.database}: {one_line(error)}") from error
        except OSError as error:  # an unknown host name
            raise SourceUnavailable(f"{login.host}/{login.database}: {one_line(error)}") from error
        except pa.ArrowInvalid as error:
            raise SourceError(f"{one_line(error)}; make that column text in execute_query (TO_CHAR)") from error


def _is_transient(error: oracledb.Error) -> bool:
    [details] = error.args
    return details.isrecoverable or details.full_code in TRANSIENT_ERRORS


def _column(info: oracledb.FetchInfo, quoted: str) -> Column:
    if info.type_code is oracledb.DB_TYPE_NUMBER:
        # without a precision it may have any number of digits; FLOAT has the scale -127, and so too many digits
        type_ = decimal_type(info.precision, info.scale)
        return (
            Column(info.name, type_, quoted) if type_ else Column(info.name, pa.string(), f"TO_CHAR({quoted}, 'TM9')")
        )
    if info.type_code not in TYPES:
        raise SourceError(
            f"column {info.name}: {info.type_code.name.removeprefix('DB_TYPE_')} cannot be dumped as it is; "
            "convert it in execute_query (TO_CHAR, XMLSERIALIZE, …), or leave it out"
        )
    type_, expression = TYPES[info.type_code]
    if pa.types.is_timestamp(type_) and (info.scale or 0) > 6:
        expression = AS_TEXT.format(expression) + (" || 'Z'" if type_ == UTC else "")
        type_ = pa.string()
    return Column(info.name, type_, expression.format(quoted))


def _schema(columns: list[Column]) -> pa.Schema:
    return pa.schema([(column.name, column.type) for column in columns])


def _typed(piece: oracledb.DataFrame, schema: pa.Schema) -> list[pa.RecordBatch]:
    """The rows with the types of the schema: the driver gives times in UTC without their time zone."""
    batches: list[pa.RecordBatch] = pa.table(piece).cast(schema).to_batches()
    return batches


def _requested(columns: list[Column]) -> pa.Schema:
    """The types to request from the driver, which does not support time zones."""
    return pa.schema([(column.name, TIMESTAMP if column.type == UTC else column.type) for column in columns])
