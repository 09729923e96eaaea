"""Loads into the stand-in for Snowflake, over HTTP with the real connector: PUT, COPY INTO, transactions."""

# ruff: noqa: S608 - the queries are written here
import json
import os
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import uuid4

import pyarrow as pa
import pytest
import snowflake.connector
from publishing import FEB, JAN, MAR, SCHEMA, Published, rows

from query import ParameterError
from targets import TargetError, TargetUnavailable, open_target

SCHEMA_NAME = "DB_DUMP_TEST"


@pytest.fixture(scope="module")
def arguments():
    if "SECRET_SNOWFLAKE" not in os.environ:
        pytest.fail("SECRET_SNOWFLAKE is not set; give the connection arguments of the stand-in, as JSON")
    return json.loads(os.environ["SECRET_SNOWFLAKE"])


@pytest.fixture
def query(arguments):
    """Run a statement in a session of its own, in a schema that is empty before and gone after the test."""
    place = f"{arguments['database']}.{SCHEMA_NAME}"

    def run(statement):
        more = {name: value for name, value in arguments.items() if name not in ("private_key", "passphrase")}
        with closing(snowflake.connector.connect(**more, password="-", login_timeout=20)) as connection:
            return connection.cursor().execute(statement.replace("DB_DUMP_TEST.", f"{place}.")).fetchall()

    run(f"DROP SCHEMA IF EXISTS {place} CASCADE")
    yield run
    run(f"DROP SCHEMA IF EXISTS {place} CASCADE")


@pytest.fixture
def dump(tmp_path, arguments, query):
    return Published(tmp_path, open_target("snowflake", arguments), SCHEMA_NAME.lower())


@pytest.fixture
def ids(query):
    return lambda: [id for (id,) in query("SELECT id FROM DB_DUMP_TEST.orders ORDER BY id")]


@pytest.mark.parametrize("data_type", ["csv", "parquet"])
def test_values_arrive_as_they_left(dump, query, data_type):
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("day", pa.date32()),
            ("big", pa.uint64()),
            ("amount", pa.decimal128(12, 2)),
            ("ratio", pa.float64()),
            ("moment", pa.timestamp("us")),
            ("zoned", pa.timestamp("us", "UTC")),
            ("clock", pa.time64("us")),
            ("bytes", pa.binary()),
            ("yes", pa.bool_()),
            ("words", pa.string()),
        ]
    )
    then, zoned = datetime(2024, 2, 29, 23, 59, 59, 999999), datetime(2024, 1, 1, 1, 2, 3, 4, UTC)
    first = [
        1,
        JAN,
        2**64 - 1,
        Decimal("-9999999999.99"),
        0.1,
        then,
        zoned,
        time(23, 59, 59),
        b"\x00\xff",
        True,
        'é "\\\n',
    ]
    other = [2, date(9999, 12, 31), 0, Decimal("1.10"), 1e300, then, zoned, time(0), b"", False, ""]
    values = [first, other, [3, *[None] * 10]]
    dump.load(
        "overwrite",
        (None, [dict(zip(schema.names, row, strict=True)) for row in values]),
        schema=schema,
        data_type=data_type,
    )
    assert [list(row) for row in query("SELECT * FROM DB_DUMP_TEST.orders WHERE id < 3 ORDER BY id")] == values[:2]
    # the stand-in's answers make 1970 of a timestamp that is null
    nulls = " AND ".join(f"{name} IS NULL" for name in schema.names[1:])
    assert query(f"SELECT id FROM DB_DUMP_TEST.orders WHERE {nulls}") == [(3,)]


def test_overwrite_replaces_the_rows(dump, query, ids):
    dump.load("overwrite", (None, rows(1, 2)))
    dump.load("overwrite", (None, rows(2, 3)))
    assert ids() == [2, 3]
    assert query("SELECT count(*) FROM DB_DUMP_TEST._db_dump_chunks") == [(1,)]


def test_append_loads_each_piece_once_and_replaces_its_days(dump, query, ids):
    dump.load("append", (JAN, rows(1)), (FEB, rows(2, day=FEB)))
    manifest = dump.publish("append", (MAR, rows(3, day=MAR)))
    assert dump.target.load(dump.table, manifest).rows == 1
    assert dump.target.load(dump.table, manifest).rows == 0
    query("INSERT INTO DB_DUMP_TEST.orders VALUES (77, '2024-01-31', 0), (78, '2023-12-31', 0)")
    dump.load("append", (JAN, rows(5, 6)))
    assert ids() == [2, 3, 5, 6, 78]


def test_columns_are_added_and_numbers_grow(dump, query):
    dump.load("append", (JAN, rows(1)))
    now = pa.schema([("id", pa.int64()), ("day", pa.date32()), ("amount", pa.decimal128(14, 2)), ("note", pa.string())])
    result = dump.load("append", (FEB, rows(2**40, day=FEB, note="new")), schema=now)
    assert (result.added, result.widened) == (("NOTE",), ("AMOUNT",))
    assert query("SELECT * FROM DB_DUMP_TEST.orders ORDER BY id") == [
        (1, JAN, Decimal("1.10"), None),
        (2**40, FEB, Decimal("1.10"), "new"),
    ]


def test_what_the_table_cannot_take_is_refused_before_anything_is_read(dump):
    dump.load("overwrite", (None, rows(1)))
    for type_, error, message in [
        (pa.string(), ParameterError, r"column AMOUNT was decimal128\(12, 2\) and is string now"),
        (pa.decimal128(14, 3), TargetError, r"Snowflake cannot make NUMBER\(12,2\) a decimal128\(14, 3\)"),
        (pa.decimal256(50, 2), TargetError, r"column amount: Snowflake has no decimal256"),
    ]:
        with pytest.raises(error, match=message):
            dump.target.check("db_dump_test", "orders", SCHEMA.set(2, pa.field("amount", type_)))


def test_a_load_that_fails_changes_nothing(dump, query, ids, monkeypatch):
    """It breaks off between the DELETE and the COMMIT."""
    dump.load("overwrite", (None, rows(1)))
    query("ALTER TABLE DB_DUMP_TEST.orders ADD COLUMN half VARCHAR NOT NULL DEFAULT 'x'")
    manifest = dump.publish("overwrite", (None, rows(2, 3)))
    monkeypatch.setattr("targets.plan.Plan.ledger_rows", property(lambda plan: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        dump.target.load(dump.table, manifest)
    assert ids() == [1]
    monkeypatch.undo()
    dump.target.load(dump.table, manifest)
    assert ids() == [2, 3]


def test_nothing_stays_on_the_stage(dump, query, monkeypatch):
    tokens = []

    def token(length):
        tokens.append(uuid4().hex[: 2 * length])
        return tokens[-1]

    monkeypatch.setattr("targets.snowflake.secrets.token_hex", token)
    dump.load("overwrite", (None, rows(1)))
    assert query(f"LIST @DB_DUMP_TEST._DB_DUMP_STAGE_{tokens.pop()}") == []


def test_a_warehouse_that_cannot_be_reached(arguments):
    target = open_target("snowflake", arguments | {"port": 1, "login_timeout": 1})
    with pytest.raises(TargetUnavailable) as error:
        target.check("db_dump_test", "orders", SCHEMA)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"private_key": "-----BEGIN NONSENSE"}, "target_secret_path: the private_key of the secret is no PEM key"),
        ({"warehouse": None}, None),
    ],
)
def test_a_secret_that_cannot_be_used(arguments, change, message):
    wrong = {name: value for name, value in (arguments | change).items() if value is not None}
    with pytest.raises(TargetError, match=message or "target_secret_path: the secret lacks warehouse") as error:
        open_target("snowflake", wrong)
    assert "NONSENSE" not in str(error.value)
