"""What can be shown of the databases without a server; of SQL Server and Oracle with the drivers' own classes."""

import ctypes
import struct
from datetime import UTC, datetime, time
from decimal import Decimal
from types import SimpleNamespace

import mssql_python
import oracledb
import pyarrow as pa
import pytest
from mssql_python.exceptions import sqlstate_to_exception
from oracledb.arrow_impl import ArrowSchemaImpl
from oracledb.errors import _Error
from pymysql.constants import FIELD_TYPE
from pymysql.protocol import FieldDescriptorPacket

from sources import SOURCES, Login, SourceError, SourceUnavailable, mysql, open_source, oracle, sql_server
from sources.gather import gather
from sources.mysql_rows import blocks, decode

LOGIN = Login("db.example.org", "shop", "reader", "top;secret}")


def test_every_db_type_opens_without_a_connection():
    assert {type(open_source(name, LOGIN)).__name__ for name in SOURCES} == {"Postgres", "MySQL", "SQLServer", "Oracle"}


@pytest.mark.parametrize("db_type", ["sql_server", "oracle"])
def test_an_encoding_that_would_be_ignored_is_refused(db_type):
    with pytest.raises(SourceError, match=f"db_charset: has no effect on {db_type}"):
        open_source(db_type, Login("host", "db", "user", "secret", charset="latin1"))


def test_gathered_rows_keep_their_order_and_the_batch_size():
    pieces = [pa.record_batch({"a": range(start, start + 10)}) for start in range(0, 50, 10)]
    batches = list(gather(pieces, 17))
    assert [batch.num_rows for batch in batches] == [17, 17, 16]
    assert [row for batch in batches for row in batch["a"].to_pylist()] == list(range(50))


def test_a_gathered_batch_of_wide_rows_ends_early(monkeypatch):
    monkeypatch.setattr("sources.gather.BATCH_BYTES", 100)
    pieces = [pa.record_batch({"a": ["x" * 60]}) for _ in range(4)]
    assert [batch.num_rows for batch in gather(pieces, 1000)] == [2, 2]


# --- MariaDB and MySQL ---------------------------------------------------------------------------------------------


class Sent:
    """Rows of one column as the server sends them, at most so many bytes at a time."""

    def __init__(self, texts: list[str | None], most: int) -> None:
        packets = [*map(_row, texts), b"\xfe\0\0\2\0"]
        self._bytes = b"".join(
            len(packet).to_bytes(3, "little") + bytes([number % 256]) + packet for number, packet in enumerate(packets)
        )
        self._most = most
        self.raw = self

    def peek(self) -> bytes:
        return b""

    def read(self, size: int) -> bytes:
        assert not size
        return b""

    def readinto(self, free: memoryview) -> int:
        part = self._bytes[: min(len(free), self._most)]
        free[: len(part)] = part
        self._bytes = self._bytes[len(part) :]
        return len(part)


def _row(text: str | None) -> bytes:
    if text is None:
        return b"\0\4"
    length = bytes([len(text)]) if len(text) < 251 else b"\xfc" + len(text).to_bytes(2, "little")
    return b"\0\0" + length + text.encode()


def received(texts: list[str | None], type_: pa.DataType, most: int = 2**20) -> list:
    sent = pa.binary() if pa.types.is_string(type_) else type_
    pieces = [next(decode(*block, [sent])) for block in blocks(Sent(texts, most), "utf8")]
    return pa.chunked_array(pieces).cast(type_).to_pylist()


@pytest.mark.parametrize("most", [1, 7, 4096, 2**20])
def test_mysql_rows_are_complete_for_any_packet_boundaries(most):
    texts = [None, "", "a" * 250, "b" * 251, "c" * 252, "d" * 253, "e" * 60_000, *map(str, range(500))]
    assert received(texts, pa.string(), most) == texts


@pytest.mark.parametrize("size", [65_529, 65_530, 65_531, 65_535])
def test_mysql_rows_around_two_bytes_of_length(size):
    texts = ["a" * size, None, "", "b" * size, "c"]
    assert received(texts, pa.string()) == texts


@pytest.mark.parametrize(
    ("precision", "scale"),
    [(1, 0), (1, 1), (7, 7), (8, 8), (9, 7), (12, 2), (16, 15), (18, 0), (18, 1), (18, 17), (18, 18), (19, 2), (38, 9)],
)
def test_mysql_decimals_keep_all_their_digits(precision, scale):
    most = 10**precision - 1
    numbers = [0, 1, -1, *((-1) ** n * (most * n // 997 // 10 ** (n % precision)) for n in range(998)), most, -most]
    texts = [decimal_text(number, scale) for number in numbers]
    for sent in texts, [text if number % 3 else None for number, text in enumerate(texts)]:
        assert received(sent, pa.decimal128(precision, scale)) == [text and Decimal(text) for text in sent]


def decimal_text(number: int, scale: int) -> str:
    digits = f"{abs(number):0{scale + 1}}"
    return "-" * (number < 0) + (f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits)


def test_mysql_decimals_may_have_fewer_decimals_than_their_type():
    texts = ["1.5", "-2.25", "3", None, "-0.05"]
    assert received(texts, pa.decimal128(5, 2)) == [text and Decimal(text) for text in texts]


@pytest.mark.parametrize(("text", "scale"), [("1.5", 0), ("1.555", 2)])
def test_mysql_decimals_with_more_decimals_than_their_type_are_not_cut(text, scale):
    with pytest.raises(pa.ArrowInvalid):
        received(["2", text], pa.decimal128(9, scale))


@pytest.mark.parametrize(
    "type_", [pa.decimal128(9, 2), pa.decimal128(9), pa.string(), pa.int64(), pa.timestamp("us"), pa.duration("us")]
)
def test_mysql_nulls_only(type_):
    assert received([None, None], type_) == [None, None]


@pytest.mark.parametrize(
    ("code", "charset", "type_"),
    [
        # MySQL 8 calls JSON binary; MariaDB has it as text
        (FIELD_TYPE.JSON, 63, pa.string()),
        (FIELD_TYPE.BLOB, 63, pa.binary()),
        (FIELD_TYPE.BLOB, 255, pa.string()),
        (FIELD_TYPE.GEOMETRY, 63, pa.binary()),
        (FIELD_TYPE.STRING, 255, pa.string()),
    ],
)
def test_mysql_texts_and_bytes(code, charset, type_):
    column = mysql._column(described(code, charset))
    assert (column.name, column.type) == ("value", type_)


def test_mysql_json_is_utf_8_in_any_connection_encoding():
    column, text = mysql._column(described(FIELD_TYPE.JSON, 63)), '{"name": "Zoë"}'
    assert mysql._cast(pa.array([text.encode(), None]), column, "latin1").to_pylist() == [text, None]


def described(code, charset):
    """A column as the server describes it."""
    names = b"".join(bytes([len(name)]) + name for name in [b"def", b"shop", b"t", b"t", b"value", b"value"])
    return FieldDescriptorPacket(names + struct.pack("<xHIBHBxx", charset, 2**32 - 1, code, 0, 0), "utf8")


# --- SQL Server ----------------------------------------------------------------------------------------------------


def test_sql_server_connections_are_encrypted_and_verified():
    settings = sql_server._connection(LOGIN)
    # the driver's own reading of them
    text, _ = mssql_python.Connection._construct_connection_string(None, "", **_only_text(settings))
    assert "Encrypt=yes" in text
    assert "TrustServerCertificate=no" in text
    assert "Server=db.example.org,1433" in text
    assert "PWD={top;secret}}}" in text
    assert settings["autocommit"] is False


def _only_text(settings):
    return {name: value for name, value in settings.items() if isinstance(value, str)}


def test_sql_server_types_are_those_of_the_other_databases():
    batch = pa.record_batch(
        {
            "text": pa.array(["None", "", None], pa.large_string()),
            "data": pa.array([b"\x00", b"", None], pa.large_binary()),
            "price": pa.array([Decimal("-1.10"), None, None], pa.decimal128(38, 2)),
            "at": pa.array([datetime(9999, 12, 31), None, None], pa.timestamp("us", "+00:00")),
        }
    )
    plain = sql_server._plain(batch)
    assert plain.to_pylist() == batch.to_pylist()
    assert plain.schema.types == [pa.string(), pa.binary(), pa.decimal128(38, 2), pa.timestamp("us", "UTC")]


def test_sql_server_times_are_kept_to_the_microsecond():
    batch = pa.record_batch({"at": pa.array([3_723_000_000_100, None], pa.time64("ns"))})
    assert sql_server._plain(batch).to_pydict() == {"at": [time(1, 2, 3), None]}


@pytest.mark.parametrize(
    ("state", "passing"),
    [("08001", True), ("08S01", True), ("HYT00", True), ("40001", True), ("28000", False), ("42S02", False)],
)
def test_transient_errors_of_sql_server(state, passing):
    error = sqlstate_to_exception(state, "[Microsoft][ODBC Driver 18 for SQL Server]…")
    assert (sql_server._error_type(error) is SourceUnavailable) == passing


def test_an_unreachable_sql_server():
    nowhere = open_source("sql_server", Login("127.0.0.1", "shop", "reader", LOGIN.password, 1))
    with pytest.raises(SourceError, match=r"^127\.0\.0\.1/shop: .+$") as caught:
        nowhere.columns("SELECT 1")
    assert LOGIN.password not in str(caught.value)
    try:
        ctypes.CDLL("libltdl.so.7")
    except OSError:
        assert "apt-get install libltdl7 libgssapi-krb5-2" in str(caught.value)
    else:
        assert isinstance(caught.value, SourceUnavailable)


# --- Oracle --------------------------------------------------------------------------------------------------------


def column(dbtype, precision=0, scale=0):
    """What the driver says of a column, in its own class."""
    info = SimpleNamespace(name="C", dbtype=dbtype, objtype=None, precision=precision, scale=scale)
    return oracle._column(oracledb.FetchInfo._from_impl(info), '"C"')


@pytest.mark.parametrize(
    ("precision", "scale", "type_"),
    [
        (12, 2, pa.decimal128(12, 2)),
        (38, 0, pa.decimal128(38, 0)),
        (5, -2, pa.decimal128(7, 0)),
        (2, 5, pa.decimal128(5, 5)),
        # NUMBER, an expression, FLOAT, and more digits than 38
        (0, -127, pa.string()),
        (0, 0, pa.string()),
        (126, -127, pa.string()),
        (24, -127, pa.string()),
        (38, -10, pa.string()),
    ],
)
def test_oracle_numbers_keep_all_their_digits(precision, scale, type_):
    number = column(oracledb.DB_TYPE_NUMBER, precision, scale)
    assert number.type == type_
    assert number.expression == ('"C"' if type_ != pa.string() else """TO_CHAR("C", 'TM9')""")


@pytest.mark.parametrize(
    ("dbtype", "scale", "type_", "expression"),
    [
        (oracledb.DB_TYPE_DATE, 0, pa.timestamp("us"), '"C"'),
        (oracledb.DB_TYPE_TIMESTAMP, 6, pa.timestamp("us"), '"C"'),
        (oracledb.DB_TYPE_TIMESTAMP, 9, pa.string(), """TO_CHAR("C", 'YYYY-MM-DD"T"HH24:MI:SS.FF')"""),
        (oracledb.DB_TYPE_TIMESTAMP_TZ, 6, pa.timestamp("us", "UTC"), 'SYS_EXTRACT_UTC("C")'),
        (
            oracledb.DB_TYPE_TIMESTAMP_TZ,
            9,
            pa.string(),
            """TO_CHAR(SYS_EXTRACT_UTC("C"), 'YYYY-MM-DD"T"HH24:MI:SS.FF') || 'Z'""",
        ),
        (oracledb.DB_TYPE_CLOB, 0, pa.string(), '"C"'),
        (oracledb.DB_TYPE_BLOB, 0, pa.binary(), '"C"'),
        (oracledb.DB_TYPE_RAW, 0, pa.binary(), '"C"'),
        (oracledb.DB_TYPE_JSON, 0, pa.string(), 'JSON_SERIALIZE("C" RETURNING CLOB)'),
    ],
)
def test_oracle_types(dbtype, scale, type_, expression):
    assert column(dbtype, scale=scale) == oracle.Column("C", type_, expression)


def test_unsupported_oracle_types_name_the_column_and_a_conversion():
    with pytest.raises(SourceError, match=r"column C: OBJECT cannot be dumped as it is; convert it in execute_query"):
        column(oracledb.DB_TYPE_OBJECT)


def test_the_driver_accepts_every_requested_type():
    columns = [oracle.Column(str(number), type_, "") for number, (type_, _) in enumerate(oracle.TYPES.values())]
    columns.append(oracle.Column("number", pa.decimal128(38, 10), ""))
    requested = oracle._requested(columns)
    assert pa.timestamp("us", "UTC") not in requested.types
    ArrowSchemaImpl.from_arrow_schema(requested)


def test_oracle_rows_keep_values_and_time_zone():
    schema = pa.schema([("AT", pa.timestamp("us", "UTC")), ("NOTE", pa.string()), ("N", pa.decimal128(38, 2))])
    at = datetime(2024, 2, 29, 12, 0, 0, 1)
    read = {"AT": pa.array([at, None]), "NOTE": ["None", None], "N": pa.array([Decimal("-1.10"), None], schema[2].type)}
    [batch] = oracle._typed(oracledb.from_arrow(pa.table(read)), schema)
    assert batch.schema == schema
    assert batch.to_pydict() == {
        "AT": [at.replace(tzinfo=UTC), None],
        "NOTE": ["None", None],
        "N": [Decimal("-1.10"), None],
    }


def test_oracle_expressions_keep_the_column_names():
    number = oracle.Column("A", pa.string(), """TO_CHAR("A", 'TM9')""")
    text = oracle.Column("odd name", pa.string(), '"odd name"')
    assert oracle.Oracle(LOGIN)._select([number, text], "SELECT 1 FROM dual") == (
        """SELECT TO_CHAR("A", 'TM9') AS "A", "odd name" AS "odd name" FROM (\nSELECT 1 FROM dual\n) source"""
    )


@pytest.mark.parametrize(
    ("message", "code", "passing"),
    [
        ("DPY-6005: cannot connect to database", 0, True),
        ("DPY-4011: the database or network closed the connection", 0, True),
        ("ORA-01555: snapshot too old", 1555, True),
        ("ORA-01033: ORACLE initialization or shutdown in progress", 1033, True),
        ("ORA-01017: invalid username/password; logon denied", 1017, False),
        ("ORA-00942: table or view does not exist", 942, False),
        ("DPY-6001: service is not registered with the listener", 0, False),
    ],
)
def test_transient_errors_of_oracle(message, code, passing):
    assert oracle._is_transient(oracledb.DatabaseError(_Error(message, code=code))) == passing


def test_an_unreachable_oracle():
    nowhere = open_source("oracle", Login("127.0.0.1", "shop", "reader", LOGIN.password, 1))
    with pytest.raises(SourceUnavailable, match=r"^127\.0\.0\.1/shop: .+$") as caught:
        nowhere.columns("SELECT 1 FROM dual")
    assert LOGIN.password not in str(caught.value)
