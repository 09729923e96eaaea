"""Loads into the stand-in for Snowflake, over HTTP with the real connector: PUT, COPY INTO, transactions."""

# ruff: noqa: S608 - the queries are written here
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import uuid4

import pyarrow as pa
import pytest
from publishing import FEB, JAN, MAR, SCHEMA, Published, rows

from errors import ParameterError
from targets import TargetError, TargetUnavailable, open_target


@pytest.fixture
def query(snowflake):
    return snowflake


@pytest.fixture
def dump(tmp_path, snowflake_login, query):
    return Published(tmp_path, open_target("snowflake", snowflake_login), "db_dump_test")


@pytest.fixture
def ids(query):
    return lambda: [id for (id,) in query("SELECT id FROM DB_DUMP_TEST.orders ORDER BY id")]


@pytest.mark.parametrize("data_type", ["csv", "parquet"])
def test_values_keep_type_and_content(dump, query, data_type):
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


def test_columns_that_do_not_fit_the_table_are_refused_before_reading(dump):
    dump.load("overwrite", (None, rows(1)))
    for type_, error, message in [
        (pa.string(), ParameterError, r"column AMOUNT was decimal128\(12, 2\) and is string now"),
        (pa.decimal128(14, 3), TargetError, r"Snowflake cannot make NUMBER\(12,2\) a decimal128\(14, 3\)"),
        (pa.decimal256(50, 2), TargetError, r"column amount: Snowflake has no decimal256"),
    ]:
        with pytest.raises(error, match=message):
            dump.check(SCHEMA.set(2, pa.field("amount", type_)))


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


def test_an_unreachable_warehouse(dump, snowflake_login):
    dump.target = open_target("snowflake", snowflake_login | {"port": 1, "login_timeout": 1})
    with pytest.raises(TargetUnavailable) as error:
        dump.check(SCHEMA)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"private_key": "-----BEGIN NONSENSE"}, "target_secret_path: the private_key of the secret is not a PEM key"),
        ({"warehouse": None}, None),
    ],
)
def test_an_unusable_secret(snowflake_login, change, message):
    wrong = {name: value for name, value in (snowflake_login | change).items() if value is not None}
    with pytest.raises(TargetError, match=message or "target_secret_path: the secret lacks warehouse") as error:
        open_target("snowflake", wrong)
    assert "NONSENSE" not in str(error.value)


def test_columns_of_any_name(dump, query):
    """Among them what ends an identifier, a text, a path or a statement."""
    names = ['a"b', "it's", "two words", "select", "é", "x;--", "a.b", "$1", "%s", '"', "\\"]
    schema = pa.schema([(name, pa.string()) for name in names])
    dump.check(schema)
    dump.load_values(schema, dict(zip(names, "abcdefghijk", strict=True)))
    assert query("SELECT * FROM DB_DUMP_TEST.orders") == [tuple("abcdefghijk")]
    assert [row[0] for row in query("DESCRIBE TABLE DB_DUMP_TEST.orders")] == [name.upper() for name in names]


def test_columns_that_differ_only_in_case_are_refused_before_reading(dump):
    with pytest.raises(ParameterError, match=r"^execute_query: id, ID are one name there"):
        dump.check(pa.schema([("id", pa.int64()), ("ID", pa.int64())]))


def test_no_rows_replace_rows_only_with_allow_empty(dump, ids):
    dump.load_values(SCHEMA, *rows(1))
    empty = dump.publish_values(SCHEMA, allow_empty=True)
    with pytest.raises(TargetError, match=r"^allow_empty: .* would replace those of"):
        dump.target.load(dump.table, empty)
    assert ids() == [1]
    dump.target.load(dump.table, empty, allow_empty=True)
    assert ids() == []


def test_a_check_changes_nothing(dump, ids, query):
    dump.load("overwrite", (None, rows(1)))
    dump.check(SCHEMA)
    dump.check(SCHEMA.append(pa.field("note", pa.string())))
    assert (ids(), len(query("DESCRIBE TABLE DB_DUMP_TEST.orders"))) == ([1], 3)
