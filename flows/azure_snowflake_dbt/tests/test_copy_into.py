"""Loads into a warehouse in memory: values, days, states, headers and names."""

import json
from contextlib import closing
from datetime import date
from decimal import Decimal
from io import StringIO

import duckdb
import pytest
from conftest import PROJECT
from exports import LOGGER, manifest
from fakesnow.instance import FakeSnow
from snowflake.connector.util_text import split_statements

from copy_into import Load, LoadError

ROWS = [(1, "2.50", "None"), (2, "9999999999.99", 'say "hi",\nthen go'), (3, None, None)]


@pytest.fixture
def warehouse():
    """A warehouse in memory with the tables of setup.sql."""
    with closing(FakeSnow().connect(database="SHOP", schema="RAW")) as connection:
        for statement, _ in split_statements(StringIO((PROJECT / "setup.sql").read_text()), remove_comments=True):
            if statement.startswith(("create schema", "create table")):
                connection.cursor().execute(statement)
        yield connection


@pytest.fixture
def stage(warehouse, tmp_path):
    """The folder that the stage shows."""
    warehouse.cursor().execute(f"create stage raw.exports url = 'file://{tmp_path}/'")
    return tmp_path


def write(stage, export_id, name, rows=ROWS):
    """Write a file as the function does."""
    path = stage / "orders" / export_id / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        quoted = ["" if v is None else '"' + str(v).replace('"', '""') + '"' for row in rows for v in row]
        lines = [",".join(quoted[i : i + 3]) for i in range(0, len(quoted), 3)]
        path.write_text("id,total,note\n" + "\n".join(lines) + "\n")
    elif path.suffix == ".json":
        path.write_text(
            "".join(json.dumps(dict(zip(("id", "total", "note"), row, strict=True))) + "\n" for row in rows)
        )
    else:
        values = ", ".join(f"({i}, {t or 'null'}::decimal(12, 2), {literal(n)})" for i, t, n in rows)
        duckdb.execute(f"copy (from (values {values}) as t(id, total, note)) to '{path}' (format parquet)")


def literal(text):
    """Text as an SQL literal."""
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def run(connection, manifest):
    """A whole load."""
    load = Load(connection, manifest, LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS")
    return load.replace_partition(load.reconcile(load.copy()).staged)


def orders(connection, columns="id, total, note"):
    """What is in the target."""
    return connection.cursor().execute(f"select {columns} from raw.orders order by 1, 2").fetchall()  # noqa: S608


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_values_keep_type_and_content(warehouse, stage, form):
    write(stage, "e1", f"a.{form}")
    assert run(warehouse, manifest({f"a.{form}": 3}, form=form)) == 3
    assert orders(warehouse) == [(i, total and Decimal(total), note) for i, total, note in ROWS]
    assert orders(warehouse, "distinct _logical_date, _export_id") == [(date(2026, 1, 2), "e1")]


def test_a_day_is_replaced_and_only_that_day(warehouse, stage):
    for export_id, day in [("e1", "2026-01-01"), ("e2", "2026-01-02"), ("e2", "2026-01-02"), ("e3", "2026-01-02")]:
        write(stage, export_id, "a.csv")
        run(warehouse, manifest({"a.csv": 3}, day=day, export_id=export_id))
    days = orders(warehouse, "_logical_date, id, _export_id")
    assert days == [(date(2026, 1, day), i, export_id) for day, export_id in [(1, "e1"), (2, "e3")] for i in (1, 2, 3)]


def test_an_empty_export_empties_the_day(warehouse, stage):
    write(stage, "e1", "a.csv")
    run(warehouse, manifest({"a.csv": 3}))
    assert run(warehouse, manifest({}, export_id="e2")) == 0
    assert orders(warehouse) == []


def test_a_count_that_differs_from_the_manifest_changes_nothing(warehouse, stage):
    write(stage, "e1", "a.csv")
    run(warehouse, manifest({"a.csv": 3}))
    write(stage, "e2", "a.csv")
    write(stage, "e2", "b.csv", ROWS[:1])
    with pytest.raises(LoadError, match=r"unchanged.*b\.csv is LOADED with 1 of 2 rows"):
        run(warehouse, manifest({"a.csv": 3, "b.csv": 2}, export_id="e2"))
    assert orders(warehouse, "distinct _export_id, 1") == [("e1", 1)]


def test_a_bad_value_changes_nothing(warehouse, stage):
    write(stage, "e1", "a.csv", [("not a number", None, None)])
    with pytest.raises(
        LoadError, match=r"^RAW\.ORDERS is unchanged: Snowflake refused `copy into …` on .* orders/e1/: "
    ):
        run(warehouse, manifest({"a.csv": 1}))
    assert orders(warehouse) == []


def test_a_failure_while_replacing_is_rolled_back(warehouse, stage):
    write(stage, "e1", "a.csv")
    run(warehouse, manifest({"a.csv": 3}))
    write(stage, "e2", "a.csv", [(None, None, None)])  # id may not be null in the target
    with pytest.raises(duckdb.ConstraintException):  # in this process the stand-in's own error
        run(warehouse, manifest({"a.csv": 1}, export_id="e2"))
    assert len(orders(warehouse)) == 3


def test_a_column_missing_in_the_table(warehouse, stage):
    with pytest.raises(LoadError, match="lacks the exported columns colour"):
        run(warehouse, manifest({}, columns=("id", "colour")))


@pytest.mark.parametrize("columns", [("total", "id", "note"), ("note", "total", "id")])
def test_columns_in_another_order_than_in_the_files_are_refused(warehouse, stage, columns):
    write(stage, "e1", "a.csv", [(1, "2", "3"), (4, "5", "6")])
    write(stage, "e1", "b.csv", [])
    with pytest.raises(
        LoadError, match=rf"^RAW\.ORDERS is unchanged: the first line of .\.csv is not {','.join(columns)}, "
    ):
        run(warehouse, manifest({"a.csv": 2, "b.csv": 0}, columns=columns))
    assert orders(warehouse) == []


def test_a_file_without_a_header_is_refused(warehouse, stage):
    write(stage, "e1", "a.csv", [(1, "2", "3"), (4, "5", "6")])
    path = stage / "orders" / "e1" / "a.csv"
    path.write_text(path.read_text().partition("\n")[2])
    with pytest.raises(LoadError, match=r"the first line of a\.csv is not id,total,note, which the manifest gives"):
        run(warehouse, manifest({"a.csv": 1}))
    assert orders(warehouse) == []


@pytest.mark.parametrize("header", ["ID,Total,NOTE", '"id","total","note"', "\ufeffid,total,note", "id, total ,note"])
def test_ways_to_write_a_header(warehouse, stage, header):
    write(stage, "e1", "a.csv")
    path = stage / "orders" / "e1" / "a.csv"
    path.write_text(path.read_text().replace("id,total,note", header))
    assert run(warehouse, manifest({"a.csv": 3})) == 3


@pytest.mark.parametrize(
    "name", ["ORDERS", "A.B.C", "RAW.ORDERS; drop table x", ".ORDERS", "RAW.", "RAW." + "A" * 241, "RAW.É"]
)
def test_an_invalid_name(name):
    with pytest.raises(LoadError, match="not a name of the form"):
        Load(None, manifest({}), LOGGER, target=name, stage="RAW.EXPORTS")


def test_an_export_is_loaded_once(warehouse, stage):
    write(stage, "e1", "a.csv")
    first, other = manifest({"a.csv": 3}), manifest({"a.csv": 3}, export_id="e2")
    run(warehouse, first)
    loaded = {
        export.export_id: Load(warehouse, export, LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS").already_loaded()
        for export in (first, other)
    }
    assert loaded == {"e1": True, "e2": False}
    warehouse.cursor().execute("delete from raw.orders where id = 1")
    assert not Load(warehouse, first, LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS").already_loaded()


def test_an_empty_export_is_done_once_the_day_is_empty(warehouse, stage):
    write(stage, "e1", "a.csv")
    run(warehouse, manifest({"a.csv": 3}))
    empty = Load(warehouse, manifest({}, export_id="e2"), LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS")
    assert not empty.already_loaded()
    run(warehouse, manifest({}, export_id="e2"))
    assert empty.already_loaded()


def test_every_load_changes_the_state_of_the_table(warehouse, stage):
    states = []
    for export_id, day in [("e1", "2026-01-01"), ("e2", "2026-01-02"), ("e3", "2026-01-02")]:
        write(stage, export_id, "a.csv")
        run(warehouse, manifest({"a.csv": 3}, day=day, export_id=export_id))
        load = Load(warehouse, manifest({}), LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS")
        states += [load.state()]
        assert load.state() == states[-1]
    assert len(set(states)) == 3
