"""A PostgreSQL table has what is published, exactly, or what it had before."""

# ruff: noqa: S608 - the queries are written here
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest
from publishing import FEB, JAN, MAR, SCHEMA, Published, rows

from errors import ParameterError
from storage import StorageError
from targets import TargetError, TargetUnavailable, open_target

TABLE = "db_dump_test.orders"


@pytest.fixture
def dump(tmp_path, target_login, warehouse):
    return Published(tmp_path, open_target("postgres", target_login), "db_dump_test")


@pytest.fixture
def query(warehouse):
    return lambda sql: warehouse.execute(sql).fetchall()


@pytest.fixture
def ids(query):
    return lambda: [id for (id,) in query(f"SELECT id FROM {TABLE} ORDER BY id")]


@pytest.fixture
def types(query):
    """The table's columns and their types."""
    return lambda: dict(
        query(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            f"WHERE attrelid = '{TABLE}'::regclass AND attnum > 0 ORDER BY attnum"
        )
    )


@pytest.mark.parametrize(
    ("type_", "sql", "values"),
    [
        (pa.bool_(), "boolean", [True, False, None]),
        (pa.int8(), "smallint", [-128, None]),
        (pa.uint8(), "smallint", [255]),
        (pa.int16(), "smallint", [-32768]),
        (pa.uint16(), "integer", [65535]),
        (pa.int32(), "integer", [-(2**31)]),
        (pa.uint32(), "bigint", [2**32 - 1]),
        (pa.int64(), "bigint", [-(2**63)]),
        (pa.uint64(), "numeric(20,0)", [2**64 - 1]),
        (
            pa.decimal128(38, 3),
            "numeric(38,3)",
            [Decimal("9" * 35 + ".999"), Decimal("-0.001"), Decimal("1.100"), None],
        ),
        (pa.decimal256(60, 2), "numeric(60,2)", [Decimal("-" + "9" * 58 + ".99")]),
        (pa.float32(), "real", [1.5, float("inf"), None]),
        (pa.float64(), "double precision", [0.1, -0.0, 1e300]),
        (pa.date32(), "date", [date(1, 1, 1), date(9999, 12, 31), None]),
        (pa.time64("us"), "time without time zone", [time(23, 59, 59, 999999)]),
        (pa.timestamp("us"), "timestamp without time zone", [datetime(9999, 12, 31, 23, 59, 59, 999999), None]),
        (pa.timestamp("us", "UTC"), "timestamp with time zone", [datetime(2025, 10, 26, 0, 30, 0, 1, UTC)]),
        (pa.binary(), "bytea", [b"\x00\xff", b"", None]),
        (pa.string(), "text", ["", "None", "NULL", 'a\n"b"\\', "é😀", None]),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_values_keep_type_and_content(dump, query, types, type_, sql, values):
    dump.load_values(pa.schema([("value", type_)]), *[{"value": value} for value in values])
    assert types() == {"value": sql}
    arrived = [value for (value,) in query(f"SELECT value FROM {TABLE}")]
    assert arrived == values
    # equal numbers also have the same number of decimal places
    digits = [
        (str(loaded), str(sent)) for loaded, sent in zip(arrived, values, strict=True) if isinstance(sent, Decimal)
    ]
    assert all(loaded == sent for loaded, sent in digits)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("uuid", "6b1e3c1e-7d3f-4a57-9c1c-0c1b2a3d4e5f"),
        ("jsonb", '{"a": [1, null]}'),
        ("json", '{"a":[1,  null]}'),
        ("text[]", '{"a,b",NULL,"NULL"}'),
        ("numeric", "99999999999999999999999999999999999999999999.10"),
        ("interval", "1 day 02:00:00"),
        ("inet", "10.0.0.0/8"),
        ("character varying(5)", "12345"),
        ("character(5)", "123  "),
    ],
)
def test_text_is_cast_to_the_types_of_the_table(dump, warehouse, query, types, sql, text):
    warehouse.execute("CREATE SCHEMA db_dump_test")
    warehouse.execute(f"CREATE TABLE {TABLE} (value {sql}, loaded_at date DEFAULT now())")
    dump.load_values(pa.schema([("value", pa.string())]), {"value": text}, {"value": None})
    assert types()["value"] == sql
    assert query(f"SELECT value::text FROM {TABLE} WHERE loaded_at IS NOT NULL") == [(text.strip(),), (None,)]


def test_overwrite_swaps_a_table_and_keeps_its_indexes_rights_and_constraints(dump, warehouse, query, ids):
    dump.load("overwrite", (None, rows(1, 2)))
    warehouse.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT orders_key PRIMARY KEY (id), ADD CHECK (id > 0)")
    warehouse.execute(
        f"CREATE INDEX by_day ON {TABLE} (day) WHERE id > 1; CREATE INDEX by_sum ON {TABLE} ((amount * 2))"
    )
    warehouse.execute(f"GRANT SELECT ON {TABLE} TO PUBLIC; GRANT INSERT ON {TABLE} TO pg_monitor WITH GRANT OPTION")
    warehouse.execute(f"ALTER TABLE {TABLE} ALTER amount SET DEFAULT 0")
    about = f"""
        SELECT pg_get_userbyid(relowner), relacl::text,
            array(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = pg_class.oid ORDER BY 1),
            array(SELECT conname || pg_get_constraintdef(pg_constraint.oid) FROM pg_constraint
                WHERE conrelid = pg_class.oid ORDER BY 1),
            array(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = pg_class.oid)
        FROM pg_class WHERE oid = '{TABLE}'::regclass"""
    before, place = query(about), query(f"SELECT '{TABLE}'::regclass::oid")
    dump.load("overwrite", (None, rows(2, 3)))
    assert query(f"SELECT '{TABLE}'::regclass::oid") != place
    assert query(about) == before
    assert ids() == [2, 3]


@pytest.mark.parametrize(
    "dependent",
    [
        "CREATE VIEW db_dump_test.seen AS SELECT id FROM {table}",
        "CREATE TABLE db_dump_test.other (day date PRIMARY KEY); INSERT INTO db_dump_test.other VALUES ('2024-01-01'); "
        "ALTER TABLE {table} ADD FOREIGN KEY (day) REFERENCES db_dump_test.other",
        "CREATE FUNCTION db_dump_test.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
        "CREATE TRIGGER noted BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION db_dump_test.noted()",
        "ALTER TABLE {table} ADD COLUMN number serial",
        "ALTER TABLE {table} ADD COLUMN number int GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE {table} SET (fillfactor = 50)",
        "COMMENT ON TABLE {table} IS 'orders'",
    ],
    ids=["view", "foreign key", "trigger", "serial", "identity", "setting", "comment"],
)
def test_overwrite_replaces_the_rows_where_a_swap_would_lose_something(dump, warehouse, query, ids, dependent):
    dump.load("overwrite", (None, rows(1, 2)))
    warehouse.execute(dependent.format(table=TABLE))
    before = query(f"SELECT '{TABLE}'::regclass::oid")
    dump.load("overwrite", (None, rows(2, 3)))
    assert query(f"SELECT '{TABLE}'::regclass::oid") == before
    assert ids() == [2, 3]


def test_readers_see_the_old_rows_until_the_new_ones_are_complete(dump, monkeypatch, ids, query):
    dump.load("overwrite", (None, rows(1)))
    manifest, read, seen = dump.publish("overwrite", (None, rows(2))), dump.table.read, []

    def watched(*arguments):
        yield from read(*arguments)
        seen.append(ids())

    monkeypatch.setattr(dump.table, "read", watched)
    dump.target.load(dump.table, manifest)
    assert (seen, ids()) == ([[1]], [2])
    assert query(
        "SELECT relname FROM pg_class WHERE relnamespace = 'db_dump_test'::regnamespace AND relkind = 'r'"
    ) == [
        ("_db_dump_chunks",),
        ("orders",),
    ]


def test_append_loads_each_piece_once_and_replaces_its_days(dump, warehouse, ids):
    dump.load("append", (JAN, rows(1)), (FEB, rows(2, day=FEB)))
    manifest = dump.publish("append", (MAR, rows(3, day=MAR)))
    assert dump.target.load(dump.table, manifest).rows == 1
    assert dump.target.load(dump.table, manifest).rows == 0
    warehouse.execute(f"INSERT INTO {TABLE} VALUES (77, '2024-01-31', 0), (78, '2023-12-31', 0)")
    dump.load("append", (JAN, rows(5, 6)))
    assert ids() == [2, 3, 5, 6, 78]


def test_append_without_days_adds_the_rows_of_each_run_once(dump, ids):
    dump.load("append", (None, rows(1)), run="run 1")
    manifest = dump.publish("append", (None, rows(1)), run="run 2")
    dump.target.load(dump.table, manifest)
    dump.target.load(dump.table, manifest)
    assert ids() == [1, 1]


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_columns_are_added_and_widened(dump, query, types, mode):
    dump.load(mode, (JAN, rows(1)))
    now = pa.schema([("id", pa.int64()), ("day", pa.date32()), ("amount", pa.decimal128(14, 3)), ("note", pa.string())])
    result = dump.load(mode, (FEB, rows(2**40, day=FEB, note="new")), schema=now)
    assert (result.added, result.widened) == (("note",), ("id", "amount"))
    assert types() == {"id": "bigint", "day": "date", "amount": "numeric(14,3)", "note": "text"}
    assert query(f"SELECT id, note FROM {TABLE} ORDER BY id")[-1] == (2**40, "new")


def test_columns_that_do_not_fit_the_table_are_refused_before_reading(dump):
    dump.load("overwrite", (None, rows(1)))
    with pytest.raises(
        ParameterError, match=r'the table "db_dump_test"."orders": column amount was decimal.* is string now'
    ):
        dump.check(SCHEMA.set(2, pa.field("amount", pa.string())))
    with pytest.raises(TargetError, match=r"column id: PostgreSQL has no duration"):
        dump.check(pa.schema([("id", pa.duration("us"))]), table_id="new")


def test_a_trigger_that_drops_rows_is_noticed(dump, warehouse, ids):
    dump.load("append", (JAN, rows(1)))
    warehouse.execute(
        "CREATE FUNCTION db_dump_test.drop() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW; END'"
    )
    warehouse.execute(f"CREATE TRIGGER d BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION db_dump_test.drop()")
    with pytest.raises(TargetError, match=r"1 rows came into the target, the files have 2; nothing was changed"):
        dump.load("append", (FEB, rows(2, 3, day=FEB)))
    assert ids() == [1]


@pytest.mark.parametrize(
    ("value", "message"),
    [("123456", "value too long for type character varying"), ("a\0b", "invalid byte sequence for encoding")],
)
def test_a_value_that_does_not_fit_the_table(dump, warehouse, query, value, message):
    warehouse.execute("CREATE SCHEMA db_dump_test")
    warehouse.execute(f"CREATE TABLE {TABLE} (value varchar(5))")
    schema = pa.schema([("value", pa.string())])
    dump.load_values(schema, {"value": "old"})
    with pytest.raises(TargetError, match=message) as error:
        dump.load_values(schema, {"value": "new"}, {"value": value})
    assert "\n" not in str(error.value)
    assert query(f"SELECT value FROM {TABLE}") == [("old",)]


def test_unreadable_files(dump, tmp_path, ids):
    dump.load("overwrite", (None, rows(1)))
    manifest = dump.publish("overwrite", (None, rows(2)))
    [file] = manifest.chunks[0].files
    (tmp_path / "db_dump_test" / "orders" / file.path).write_bytes(b"PAR1 no more")
    with pytest.raises(StorageError, match=rf"^{file.path}: cannot be read"):
        dump.target.load(dump.table, manifest)
    assert ids() == [1]


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"port": 1}, {"dbname": "nowhere"}])
def test_an_unreachable_target(dump, target_login, wrong):
    dump.target = open_target("postgres", target_login | wrong)
    with pytest.raises(TargetUnavailable) as error:
        dump.check(SCHEMA)
    assert "\n" not in str(error.value)
    assert target_login["password"] not in str(error.value)


def test_unknown_arguments_are_refused(target_login):
    with pytest.raises(TargetError, match=r"target_secret_path: .*bogus"):
        open_target("postgres", target_login | {"bogus": "1"})


def test_no_rows_replace_rows_only_with_allow_empty(dump, types, ids):
    dump.load("overwrite", (None, rows(1)))
    empty = dump.publish_values(SCHEMA, allow_empty=True)
    with pytest.raises(TargetError, match=r'^allow_empty: .* would replace those of the table "db_dump_test"."orders"'):
        dump.target.load(dump.table, empty)
    assert ids() == [1]
    dump.target.load(dump.table, empty, allow_empty=True)
    assert (list(types()), ids()) == (["id", "day", "amount"], [])
    # of none there is nothing to lose
    dump.target.load(dump.table, empty)


def columns(*names):
    return pa.schema([(name, pa.int16()) for name in names])


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (columns("id", "xmin"), r'column name "xmin" conflicts with a system column name'),
        (columns(*(f"c{number}" for number in range(1601))), "tables can have at most 1600 columns"),
        (columns("id", "x" * 64), "execute_query: x{64} is longer than 63"),
        (columns("id", ""), "execute_query: column 2 has no name"),
    ],
    ids=["xmin", "1601", "64", "empty"],
)
def test_impossible_columns_are_refused_before_reading(dump, query, schema, message):
    with pytest.raises((TargetError, ParameterError), match=message) as error:
        dump.check(schema)
    assert "\n" not in str(error.value)
    assert query("SELECT 1 FROM pg_namespace WHERE nspname = 'db_dump_test'") == []


@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_a_view_of_that_name_is_refused_before_reading(dump, warehouse, mode):
    warehouse.execute(f"CREATE SCHEMA db_dump_test; CREATE VIEW {TABLE} AS SELECT 1::int2 AS id")
    with pytest.raises(TargetError, match=r'"orders"'):
        dump.check(columns("id"), mode)


def test_a_foreign_key_that_prevents_replacing_is_reported_before_reading(dump, warehouse):
    dump.load_values(columns("id"), {"id": 1})
    warehouse.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (id)")
    warehouse.execute(f"CREATE TABLE db_dump_test.lines (id int2 REFERENCES {TABLE})")
    with pytest.raises(TargetError, match=r"cannot truncate a table referenced in a foreign key constraint"):
        dump.check(columns("id"))


def test_a_check_changes_nothing_and_waits_for_nobody(dump, warehouse, query, types, ids):
    dump.load("overwrite", (None, rows(1)))
    about = f"SELECT '{TABLE}'::regclass::oid, (SELECT sum(rows) FROM db_dump_test._db_dump_chunks)"
    before = query(about)
    dump.check(SCHEMA.append(pa.field("note", pa.string())))
    assert (query(about), ids(), list(types())) == (before, [1], ["id", "day", "amount"])
    with warehouse.transaction():
        warehouse.execute(f"SELECT FROM {TABLE}")
        dump.check(SCHEMA)


@pytest.mark.parametrize("sql", ["numeric(5,-2)", "numeric(2,5)"])
def test_a_number_of_an_unusual_scale_is_widened_and_not_rounded(dump, warehouse, query, sql):
    warehouse.execute(f"CREATE SCHEMA db_dump_test; CREATE TABLE {TABLE} (value {sql})")
    value = Decimal("12345") if "-" in sql else Decimal("0.12345")
    type_ = pa.decimal128(7, 0) if "-" in sql else pa.decimal128(5, 5)
    dump.load_values(pa.schema([("value", type_)]), {"value": value})
    assert query(f"SELECT value FROM {TABLE}") == [(value,)]
