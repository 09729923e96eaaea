"""Values, types, nulls and texts arrive as they left, and memory stays small."""

# ruff: noqa: S608 - the queries are written here
import gc
import resource
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import psycopg
import pyarrow as pa
import pymysql
import pytest

from periods import split
from query import chunk_query
from sources import SourceError, SourceUnavailable, open_source


def read(source, query, batch_size=50_000):
    return pa.Table.from_batches(source.batches(query, batch_size), source.columns(query))


def read_value(source, expression):
    table = read(source, f"SELECT {expression} AS value")
    return table.schema.field("value").type, table["value"].to_pylist()


@pytest.mark.parametrize(
    ("expression", "type_", "value"),
    [
        ("true", pa.bool_(), True),
        ("(-32768)::int2", pa.int16(), -32768),
        ("2147483647", pa.int32(), 2147483647),
        ("(-9223372036854775808)::int8", pa.int64(), -(2**63)),
        ("0.1::float8", pa.float64(), 0.1),
        ("'-Infinity'::float8", pa.float64(), float("-inf")),
        ("'-9999999999.99'::numeric(12,2)", pa.decimal128(12, 2), Decimal("-9999999999.99")),
        ("repeat('9', 38)::numeric(38,0)", pa.decimal128(38, 0), Decimal("9" * 38)),
        ("repeat('9', 50)::numeric(60,2)", pa.string(), "9" * 50 + ".00"),
        ("1.10", pa.string(), "1.10"),
        ("12345::numeric(5,-2)", pa.decimal128(7, 0), Decimal(12300)),
        ("0.00012::numeric(2,5)", pa.decimal128(5, 5), Decimal("0.00012")),
        ("1::numeric(38,-1)", pa.string(), "0"),
        ("date '2024-02-29'", pa.date32(), date(2024, 2, 29)),
        ("time '23:59:59.999999'", pa.time64("us"), time(23, 59, 59, 999999)),
        ("timestamp '2024-03-31 02:30:00'", pa.timestamp("us"), datetime(2024, 3, 31, 2, 30)),
        (
            "timestamptz '2025-10-26 02:30:00.000001+02'",
            pa.timestamp("us", "UTC"),
            datetime(2025, 10, 26, 0, 30, 0, 1, UTC),
        ),
        ("'\\x00ff'::bytea", pa.binary(), b"\x00\xff"),
        ("''::bytea", pa.binary(), b""),
        ("'6b1e3c1e-7d3f-4a57-9c1c-0c1b2a3d4e5f'::uuid", pa.string(), "6b1e3c1e-7d3f-4a57-9c1c-0c1b2a3d4e5f"),
        ("""'{"a": [1, null]}'::jsonb""", pa.string(), '{"a": [1, null]}'),
        ("array['a,b', null, 'NULL']", pa.string(), '{"a,b",NULL,"NULL"}'),
        ("interval '1 day 2 hours'", pa.string(), "P1DT2H"),
    ],
)
def test_postgres_types(postgres, expression, type_, value):
    assert read_value(postgres, expression) == (type_, [value])


@pytest.mark.parametrize(
    ("expression", "type_", "value"),
    [
        ("CAST(18446744073709551615 AS unsigned)", pa.uint64(), 2**64 - 1),
        ("CAST(-9223372036854775808 AS signed)", pa.int64(), -(2**63)),
        ("CAST('-9999999999.99' AS decimal(12,2))", pa.decimal128(12, 2), Decimal("-9999999999.99")),
        ("CAST(repeat('9', 50) AS decimal(60,2))", pa.decimal256(60, 2), Decimal("9" * 50 + ".00")),
        ("CAST(255 AS unsigned) & 255", pa.uint64(), 255),
        ("0.1e0", pa.float64(), 0.1),
        ("CAST(-0.5 AS float)", pa.float32(), -0.5),
        ("date '0001-01-01'", pa.date32(), date(1, 1, 1)),
        ("date '2024-02-29'", pa.date32(), date(2024, 2, 29)),
        ("timestamp '2024-03-31 02:30:00.000001'", pa.timestamp("us"), datetime(2024, 3, 31, 2, 30, 0, 1)),
        ("timestamp '9999-12-31 23:59:59'", pa.timestamp("us"), datetime(9999, 12, 31, 23, 59, 59)),
        ("CAST(date '2000-02-29' AS datetime)", pa.timestamp("us"), datetime(2000, 2, 29)),
        ("timestamp '1969-12-31 23:59:59.9'", pa.timestamp("us"), datetime(1969, 12, 31, 23, 59, 59, 900_000)),
        ("CAST('-838:59:59' AS time)", pa.string(), "-838:59:59"),
        ("CAST('-00:00:00.05' AS time(3))", pa.string(), "-00:00:00.050"),
        ("CAST('00:00:00' AS time(1))", pa.string(), "00:00:00.0"),
        ("x'00ff'", pa.binary(), b"\x00\xff"),
        ("""JSON_OBJECT('a', NULL)""", pa.string(), '{"a": null}'),
    ],
)
def test_mariadb_types(mariadb, expression, type_, value):
    assert read_value(mariadb, expression) == (type_, [value])


TEXTS = ["None", "", "NULL", "NaN", "\\N", "\\.", " ", '"', "a,b", "it''s", "two\nlines", "\r\n", "😀 é"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_keeps_its_value(postgres, text):
    query = f"SELECT '{text}' AS value UNION ALL SELECT NULL"
    assert read(postgres, query)["value"].to_pylist() == [text.replace("''", "'"), None]


def test_text_keeps_its_value_mariadb(mariadb):
    texts = [*TEXTS, "\0", "x" * 250, "x" * 251, "é" * 40_000, "x" * 70_000, None]
    rows = [f"CONVERT(x'{text.encode().hex()}' USING utf8mb4)" for text in texts[:-1]]
    query = "".join(f"SELECT {row} AS value UNION ALL " for row in rows) + "SELECT NULL"
    assert read(mariadb, query)["value"].to_pylist() == texts


# Seven columns just do not fit one byte of nulls
@pytest.mark.parametrize("times", [1, 3])
def test_nulls_stay_where_they_are(mariadb, times):
    values = {
        "seq": int,
        "seq * 1e0": float,
        "CAST(seq AS char)": str,
        "date '2024-01-01' + INTERVAL seq DAY": lambda n: date(2024, 1, 1) + timedelta(n),
        "timestamp '2024-01-01 00:00:00' + INTERVAL seq SECOND": lambda n: datetime(2024, 1, 1) + timedelta(seconds=n),
        "CAST(seq AS decimal(9,2))": Decimal,
        "SEC_TO_TIME(seq)": lambda n: f"{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}",
    }
    columns = [(f"c{number}", *item) for number, item in enumerate([*values.items()] * times)]
    query = ", ".join(f"IF(seq % {n + 2} = 0, NULL, {sql}) AS {name}" for n, (name, sql, _) in enumerate(columns))
    rows = read(mariadb, f"SELECT {query} FROM seq_1_to_20000", 999).to_pylist()
    assert rows == [
        {name: None if row % (n + 2) == 0 else value(row) for n, (name, _, value) in enumerate(columns)}
        for row in range(1, 20_001)
    ]


# Around the size at which a row goes on in a second packet
@pytest.mark.parametrize("size", [2**24 - 15, 2**24 - 14, 2**24 - 13, 2**25])
def test_a_row_may_be_larger_than_a_packet(mariadb, size):
    half = size // 2
    query = f"SELECT repeat('a', {half}) AS a, repeat('b', {size - half}) AS b UNION ALL SELECT 'last', NULL"
    assert read(mariadb, query).to_pylist() == [{"a": "a" * half, "b": "b" * (size - half)}, {"a": "last", "b": None}]


def test_both_databases_give_the_same_sample_data(postgres, mariadb):
    for table, order in {"customers": "id", "orders": "id", "order_items": "order_id"}.items():
        from_postgres, from_mariadb = read(postgres, f"SELECT * FROM {table}"), read(mariadb, f"SELECT * FROM {table}")
        keys = [(order, "ascending"), (from_postgres.column_names[1], "ascending")]
        assert from_postgres.sort_by(keys).equals(from_mariadb.sort_by(keys)), table
        assert from_postgres.num_rows == {"customers": 500, "orders": 5000, "order_items": 12000}[table]


def test_sums_agree_with_sql(postgres, postgres_login):
    with psycopg.connect(
        host=postgres_login.host,
        port=postgres_login.port,
        dbname=postgres_login.database,
        user=postgres_login.user,
        password=postgres_login.password,
    ) as connection:
        expected = connection.execute(
            "SELECT count(*), sum(total), count(note), sum(length(note)), count(*) FILTER (WHERE note = '') FROM orders"
        ).fetchone()
    orders = read(postgres, "SELECT * FROM orders").to_pylist()
    notes = [order["note"] for order in orders if order["note"] is not None]
    totals = [order["total"] for order in orders if order["total"] is not None]
    assert (len(orders), sum(totals), len(notes), sum(map(len, notes)), notes.count("")) == expected


@pytest.mark.parametrize("frequency", ["day", "week", "month", "bimester", "year"])
def test_pieces_together_give_each_row_once(source, frequency):
    columns = ["ordered_at"]
    days = date(2025, 1, 1), date(2025, 2, 1) if frequency == "day" else date(2026, 7, 1)
    ids = []
    for piece in split(*days, frequency):
        query = chunk_query("SELECT id, ordered_at FROM orders", columns, piece, None, source)
        ids += [id for batch in source.batches(query, 50_000) for id in batch["id"].to_pylist()]
    whole = f"SELECT id FROM orders WHERE ordered_at >= '{days[0]}' AND ordered_at < '{days[1]}'"
    assert sorted(ids) == sorted(read(source, whole)["id"].to_pylist())
    assert len(ids) == 5000 or frequency == "day"


def test_the_last_day_is_included_to_its_last_microsecond(source):
    [piece] = split(date(2026, 6, 30), date(2026, 7, 1), "day")
    query = chunk_query("SELECT id, ordered_at FROM orders", ["ordered_at"], piece, None, source)
    assert 12 in read(source, query)["id"].to_pylist()


def test_a_range_uses_the_index(postgres, postgres_login):
    [piece] = split(date(2025, 3, 1), date(2025, 3, 2), "day")
    query = chunk_query("SELECT * FROM orders", ["ordered_at"], piece, None, postgres)
    with psycopg.connect(
        host=postgres_login.host,
        port=postgres_login.port,
        dbname=postgres_login.database,
        user=postgres_login.user,
        password=postgres_login.password,
    ) as connection:
        plan = "\n".join(row for (row,) in connection.execute("EXPLAIN " + query))
    assert "orders_ordered_at" in plan


def test_no_batch_exceeds_the_batch_size(source):
    sizes = [batch.num_rows for batch in source.batches("SELECT * FROM orders", 1700)]
    assert sizes == [1700, 1700, 1600]


def test_memory_does_not_grow_with_the_result(source, mariadb):
    series = "seq_1_to_400000" if source is mariadb else "generate_series(1, 400000)"
    for _ in source.batches(f"SELECT repeat('x', 200) AS a FROM {series} AS s LIMIT 10000", 10_000):
        pass
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = sum(batch.num_rows for batch in source.batches(f"SELECT repeat('x', 500) AS a FROM {series} AS s", 10_000))
    assert rows == 400_000
    # the result is 200 MB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024


def test_a_row_may_be_larger_than_a_batch(postgres):
    table = read(postgres, "SELECT repeat(E'\\u00e9\\n', 20000000) AS a UNION ALL SELECT 'short'", 1)
    assert [len(value) for value in table["a"].to_pylist()] == [40_000_000, 5]


def test_no_rows(source):
    table = read(source, "SELECT id, note FROM orders WHERE 1 = 0")
    assert (table.num_rows, table.column_names) == (0, ["id", "note"])


def test_stopping_early_does_not_read_the_rest(source):
    batches = source.batches("SELECT 1 AS a FROM orders AS one, orders AS other, orders AS third", 1000)
    assert next(batches).num_rows == 1000
    batches.close()


def test_other_encodings(postgres_login, mariadb_login):
    for db_type, login in {"postgres": postgres_login, "mysql": mariadb_login}.items():
        latin = open_source(db_type, replace(login, charset="latin1"))
        assert read(latin, "SELECT name FROM customers WHERE id = 2")["name"].to_pylist() == ["Zoë Ærøskøbing"]


@pytest.mark.parametrize("query", ["DELETE FROM orders", "DELETE FROM orders RETURNING id"])
def test_nothing_can_be_written(source, query):
    with pytest.raises(SourceError):
        list(source.batches(query, 10))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nope FROM orders", "nope"),
        ("SELECT 1 AS a, 2 AS a", "a"),
        ("SELECT * FROM nowhere", "nowhere"),
    ],
)
def test_query_errors_are_one_line(source, query, message):
    with pytest.raises(SourceError, match=message) as caught:
        source.columns(query)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, SourceUnavailable)


def test_an_unsupported_value_gives_advice(postgres):
    with pytest.raises(SourceError, match=r"infinity.*columns: 0 value.*cast that column to text in execute_query"):
        read_value(postgres, "timestamp 'infinity'")


@pytest.mark.parametrize("value", ["0000-00-00", "2024-00-10", "2024-10-00"])
def test_an_invalid_date_gives_advice(mariadb, value):
    with pytest.raises(SourceError, match=rf"column value: {value} is not a date.*CAST\(value AS char\)"):
        read_value(mariadb, f"CAST('{value}' AS datetime)")
    assert read_value(mariadb, f"CAST(CAST('{value}' AS date) AS char)") == (pa.string(), [value])


def test_an_error_among_the_rows_is_not_taken_for_the_end(mariadb):
    query = "SELECT IF(seq < 5000, 1, (SELECT seq FROM seq_1_to_2)) AS a FROM seq_1_to_6000"
    with pytest.raises(SourceError, match="more than 1 row") as caught:
        list(mariadb.batches(query, 1000))
    assert not isinstance(caught.value, SourceUnavailable)


def test_a_lost_connection_can_be_retried(mariadb, mariadb_login):
    batches = mariadb.batches("SELECT /* breaks off */ one.seq FROM seq_1_to_10000 AS one, seq_1_to_10000", 1000)
    next(batches)
    with closing(
        pymysql.connect(
            host=mariadb_login.host,
            port=mariadb_login.port,
            user=mariadb_login.user,
            password=mariadb_login.password,
        )
    ) as other:
        cursor = other.cursor()
        cursor.execute("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT /* breaks off%'")
        for row in cursor.fetchall():
            cursor.execute("KILL %s", row)
    with pytest.raises(SourceUnavailable):
        list(batches)


@pytest.mark.parametrize("db_type", ["postgres", "mysql"])
def test_an_unreachable_server_can_be_retried(db_type, postgres_login):
    nowhere = open_source(db_type, replace(postgres_login, host="127.0.0.1", port=1))
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1/shop: ") as caught:
        nowhere.columns("SELECT 1")
    assert postgres_login.password not in str(caught.value)
