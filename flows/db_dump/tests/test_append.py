"""Appends add and replace pieces, and refuse what does not fit the published table."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from staging import APR, FEB, JAN, LAYOUT, MAR, SCHEMA, SOURCE, Dump, pieces

from errors import ParameterError
from periods import Period
from records import Chunk


@pytest.fixture
def dump(tmp_path):
    return Dump(tmp_path)


def test_append_reads_a_past_period_once(dump):
    dump.run("append", pieces(JAN, MAR), SOURCE)
    dump.run("append", pieces(JAN, APR), SOURCE)
    assert dump.reads == [MAR]
    assert dump.ids() == [1, 2, 3, 4, 5]


def test_append_reads_an_unfinished_period_again_and_replaces_it(dump):
    today = datetime.now(UTC).date()
    month = today.replace(day=1)
    source = {JAN: [1], month: [2]}
    before = pieces(JAN, FEB)
    dump.run("append", [*before, *pieces(month, today + timedelta(days=1))], source)
    assert dump.reads == [JAN, month]
    dump.run("append", [*before, *pieces(month, today + timedelta(days=1))], source | {month: [2, 3]})
    assert dump.reads == [month]
    assert dump.ids() == [1, 2, 3]
    # a day later the current month has grown
    current = Period(month, today + timedelta(days=2))
    dump.run("append", [*before, Chunk("grown", current, LAYOUT, "db")], source | {month: [2, 3, 4]})
    assert dump.ids() == [1, 2, 3, 4]
    assert len(dump.files()) == 2


def test_append_keeps_rows_outside_its_range(dump):
    dump.run("append", pieces(JAN, APR), SOURCE)
    dump.run("append", pieces(FEB, MAR, query="SELECT corrected"), {FEB: [33]})
    assert dump.ids() == [1, 2, 4, 5, 33]


def test_append_without_periods_adds_once_per_run(dump):
    first = Chunk("SELECT *", None, LAYOUT, "run 1")
    second = Chunk("SELECT *", None, LAYOUT, "run 2")
    dump.run("append", [first], {None: [1]})
    dump.run("append", [first], {None: [1]})
    assert dump.reads == []
    dump.run("append", [second], {None: [1]})
    assert dump.ids() == [1, 1]


@pytest.mark.parametrize(
    ("chunks", "schema", "message"),
    [
        (pieces(date(2024, 1, 15), APR), SCHEMA, "break_query_start: 2024-01-15_2024-04-01 cuts into the published"),
        (
            [Chunk("SELECT *", None, LAYOUT, "db")],
            SCHEMA,
            "break_query_frequency: the published table was dumped with it",
        ),
        (pieces(JAN, APR, layout=replace(LAYOUT, data_type="csv")), SCHEMA, "batch_data_type: .* published as parquet"),
        (pieces(JAN, APR), SCHEMA.remove(0), r"execute_query: .* column id \(int64\) is no longer in the query"),
        (
            pieces(JAN, APR, layout=replace(LAYOUT, partition_columns=("id",))),
            SCHEMA,
            "partition_columns: .* cut by day",
        ),
    ],
)
def test_append_refuses_what_does_not_fit(dump, chunks, schema, message):
    dump.run("append", pieces(JAN, APR), SOURCE)
    with pytest.raises(ParameterError, match=message):
        dump.table.merged_schema("append", chunks, schema)


def test_append_takes_a_new_column_and_a_wider_type(dump):
    dump.run("append", pieces(JAN, MAR), SOURCE, schema=pa.schema([("id", pa.int32()), ("day", pa.date32())]))
    now = pa.schema([("id", pa.int64()), ("day", pa.date32()), ("note", pa.string())])
    manifest = dump.run("append", pieces(JAN, APR), {MAR: [2**40]}, schema=now)
    assert dump.reads == [MAR]
    assert manifest.schema == now
    assert dump.table.published().schema == now
    rows = pa.Table.from_batches(dump.table.read(manifest, manifest.chunks, now))
    assert rows["id"].to_pylist() == [1, 2, 3, 2**40]
    assert rows["note"].to_pylist() == [None] * 4
