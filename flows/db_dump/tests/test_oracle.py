"""Oracle without a server, with the driver's own classes."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import oracledb
import pyarrow as pa
import pytest
from oracledb.arrow_impl import ArrowSchemaImpl
from oracledb.errors import _Error

from sources import Login, SourceError, SourceUnavailable, open_source, oracle

LOGIN = Login("db.example.org", "shop", "reader", "top;secret}")


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
