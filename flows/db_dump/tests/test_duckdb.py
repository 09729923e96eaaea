"""A DuckDB file has what is published, or what it had before."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from publishing import FEB, JAN, MAR, SCHEMA, Published, rows

from errors import ParameterError
from targets import TargetError, TargetUnavailable, open_target


class Dump(Published):
    """A published table and a DuckDB file it is loaded into."""

    def __init__(self, root):
        self.path = str(root / "warehouse.duckdb")
        super().__init__(root, open_target("duckdb", {"database": self.path}))

    def query(self, sql):
        with duckdb.connect(self.path) as connection:
            return connection.sql(sql).fetchall()

    def ids(self):
        return [id for (id,) in self.query("SELECT id FROM shop.orders ORDER BY id")]


@pytest.fixture
def dump(tmp_path):
    return Dump(tmp_path)


@pytest.mark.parametrize("data_type", ["csv", "parquet"])
def test_a_new_table_has_the_types_of_the_dump(dump, data_type):
    dump.load("overwrite", (None, rows(1, 2)), data_type=data_type)
    assert dump.query("SELECT * FROM shop.orders") == [(1, JAN, Decimal("1.10")), (2, JAN, Decimal("1.10"))]
    assert [type_ for _, type_, *_ in dump.query("DESCRIBE shop.orders")] == ["INTEGER", "DATE", "DECIMAL(12,2)"]


def test_overwrite_replaces_the_rows_and_leaves_the_table(dump):
    dump.load("overwrite", (None, rows(1, 2)))
    dump.query("CREATE VIEW shop.seen AS SELECT id FROM shop.orders; ALTER TABLE shop.orders ADD PRIMARY KEY (id)")
    dump.load("overwrite", (None, rows(2, 3)))
    assert dump.query("SELECT id FROM shop.seen ORDER BY id") == [(2,), (3,)]


def test_append_loads_each_piece_once(dump):
    dump.load("append", (JAN, rows(1)), (FEB, rows(2, day=FEB)))
    manifest = dump.publish("append", (MAR, rows(3, day=MAR)))
    assert dump.target.load(dump.table, manifest).rows == 1
    assert dump.target.load(dump.table, manifest).rows == 0
    assert dump.ids() == [1, 2, 3]


def test_append_replaces_the_days_of_a_piece(dump):
    dump.load("append", (JAN, rows(1)), (FEB, rows(2, day=FEB)))
    dump.query("INSERT INTO shop.orders VALUES (77, '2024-01-31', 0), (78, '2023-12-31', 0)")
    dump.load("append", (JAN, rows(5, 6)))
    assert dump.ids() == [2, 5, 6, 78]


def test_append_without_days_adds_the_rows_of_each_run_once(dump):
    dump.load("append", (None, rows(1)), run="run 1")
    manifest = dump.publish("append", (None, rows(1)), run="run 2")
    dump.target.load(dump.table, manifest)
    dump.target.load(dump.table, manifest)
    assert dump.ids() == [1, 1]


def test_a_published_chunk_that_was_not_loaded_is_loaded_next_time(dump):
    dump.publish("append", (JAN, rows(1)))
    dump.load("append", (FEB, rows(2, day=FEB)))
    assert dump.ids() == [1, 2]


def test_a_dropped_table_is_loaded_again(dump):
    dump.load("append", (JAN, rows(1)))
    dump.query("DROP TABLE shop.orders")
    dump.load("append", (FEB, rows(2, day=FEB)))
    assert dump.ids() == [1, 2]


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_columns_are_added_and_widened(dump, mode):
    dump.load(mode, (JAN, rows(1)))
    now = pa.schema([("id", pa.int64()), ("day", pa.date32()), ("amount", pa.decimal128(14, 3)), ("note", pa.string())])
    result = dump.load(mode, (FEB, rows(2**40, day=FEB, note="new")), schema=now)
    assert (result.added, result.widened) == (("note",), ("id", "amount"))
    assert [type_ for _, type_, *_ in dump.query("DESCRIBE shop.orders")] == [
        "BIGINT",
        "DATE",
        "DECIMAL(14,3)",
        "VARCHAR",
    ]
    assert dump.query("SELECT id, note FROM shop.orders ORDER BY id")[-1] == (2**40, "new")


def test_columns_that_do_not_fit_the_table_are_refused_before_reading(dump):
    dump.load("overwrite", (None, rows(1)))
    with pytest.raises(ParameterError, match=r'the table "shop"."orders": column amount was decimal.* is string now'):
        dump.check(SCHEMA.set(2, pa.field("amount", pa.string())))
    with pytest.raises(TargetError, match=r"column id: DuckDB has no decimal256"):
        dump.check(pa.schema([("id", pa.decimal256(50, 0))]), table_id="new")


def test_text_is_cast_to_types_that_arrow_lacks(dump):
    key = "6b1e3c1e-7d3f-4a57-9c1c-0c1b2a3d4e5f"
    dump.query("CREATE SCHEMA shop; CREATE TABLE shop.orders (id UUID, loaded_at TIMESTAMP DEFAULT now())")
    schema = pa.schema([("id", pa.string())])
    dump.load_values(schema, {"id": key})
    assert dump.query("SELECT id::VARCHAR, loaded_at IS NOT NULL FROM shop.orders") == [(key, True)]
    with pytest.raises(TargetError, match="Could not convert string 'no key' to UUID"):
        dump.load_values(schema, {"id": "no key"})
    assert dump.query("SELECT count(*) FROM shop.orders") == [(1,)]


def test_a_load_that_fails_changes_nothing(dump, monkeypatch):
    dump.load("append", (JAN, rows(1)))
    manifest = dump.publish(
        "append", (JAN, rows(5)), (FEB, rows(6, day=FEB)), schema=SCHEMA.append(pa.field("n", pa.int8()))
    )
    read = dump.table.read

    def broken(*arguments):
        yield next(read(*arguments))
        raise OSError("the disk is gone")

    monkeypatch.setattr(dump.table, "read", broken)
    with pytest.raises(OSError, match=r"^the disk is gone$"):
        dump.target.load(dump.table, manifest)
    assert (dump.ids(), len(dump.query("DESCRIBE shop.orders"))) == ([1], 3)
    monkeypatch.undo()
    dump.target.load(dump.table, manifest)
    assert dump.ids() == [5, 6]


def test_a_file_open_in_another_process_is_unavailable(dump):
    manifest = dump.publish("overwrite", (None, rows(1)))
    script = f"import duckdb; held = duckdb.connect({dump.path!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(TargetUnavailable, match=rf"^{dump.path}: another process has it open; close it, or wait$"):
            dump.target.load(dump.table, manifest)
        other.stdin.close()
    dump.target.load(dump.table, manifest)
    assert dump.ids() == [1]


def test_the_path_of_the_file_is_required():
    with pytest.raises(TargetError, match='target_secret_path: the secret must give "database", the absolute path'):
        open_target("duckdb", {"path": "warehouse.duckdb"})


@pytest.mark.parametrize("file_exists", [True, False])
def test_columns_that_differ_only_in_case_are_refused_before_reading(dump, file_exists):
    if file_exists:
        dump.query("CREATE SCHEMA other")
    with pytest.raises(TargetError, match='Column with name "ID" already exists'):
        dump.check(pa.schema([("id", pa.int32()), ("ID", pa.int32())]))
    assert Path(dump.path).exists() == file_exists


def test_a_view_of_that_name_is_refused_before_reading(dump):
    dump.query("CREATE SCHEMA shop; CREATE VIEW shop.orders AS SELECT 1::INTEGER AS id")
    with pytest.raises(TargetError, match=r'^table_id: "shop"."orders" is a view there'):
        dump.check(pa.schema([("id", pa.int32())]))


@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_a_check_changes_nothing(dump, mode):
    dump.load(mode, (JAN, rows(1)))
    dump.check(SCHEMA.append(pa.field("note", pa.string())), mode="overwrite")
    assert dump.ids() == [1]
    assert len(dump.query("DESCRIBE shop.orders")) == 3
    assert dump.query("SELECT count(*) FROM shop._db_dump_chunks") == [(1,)]


def test_no_rows_replace_rows_only_with_allow_empty(dump):
    dump.load_values(SCHEMA, *rows(1))
    empty = dump.publish_values(SCHEMA, allow_empty=True)
    with pytest.raises(TargetError, match=r"^allow_empty: .* would replace those of"):
        dump.target.load(dump.table, empty)
    assert dump.ids() == [1]
    dump.target.load(dump.table, empty, allow_empty=True)
    assert dump.ids() == []
