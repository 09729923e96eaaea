"""A load does what is missing, and no more."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from files import File
from records import Manifest, Record
from targets import TargetError
from targets.plan import LEDGER_SCHEMA, LedgerEntry, make_plan

THEN = datetime(2024, 1, 1, tzinfo=UTC)


def record(id, start=None, stop=None, content="1", rows=1):
    file = File(f"{id}.parquet", rows, 1, content)
    return Record(id, "hash", start, stop, "2024-01-01T00:00:00+00:00", 0.1, rows, 1, (file,))


def manifest(mode, *records):
    rows = sum(record.rows for record in records)
    return Manifest("shop", "orders", "1", None, mode, "parquet", "q", "now", rows, 1, {}, "", ("day",), records)


def entry(record):
    return LedgerEntry("orders", record.id, record.digest, record.start, record.stop, record.rows, THEN)


JAN, FEB = record("jan", "2024-01-01", "2024-02-01"), record("feb", "2024-02-01", "2024-03-01", rows=2)
APR = record("apr", "2024-04-01", "2024-05-01")


def test_an_overwrite_loads_all_chunks_and_ignores_the_old_ledger():
    plan = make_plan(manifest("overwrite", JAN, FEB), [entry(JAN), entry(APR)])
    assert (plan.load, plan.delete, plan.rows) == ((JAN, FEB), (), 3)
    assert {entry.chunk_id for entry in plan.ledger} == {"jan", "feb"}


def test_an_append_loads_missing_chunks():
    plan = make_plan(manifest("append", JAN, FEB), [entry(JAN)])
    assert (plan.load, plan.delete) == ((FEB,), (("2024-02-01", "2024-03-01"),))
    assert plan.ledger[0] == entry(JAN)


def test_an_append_without_missing_chunks_loads_nothing():
    plan = make_plan(manifest("append", JAN, FEB), [entry(FEB), entry(JAN)])
    assert (plan.load, plan.delete, plan.rows) == ((), (), 0)


def test_a_piece_read_again_replaces_the_old_piece():
    again = record("jan", "2024-01-01", "2024-02-01", content="2")
    plan = make_plan(manifest("append", again, FEB), [entry(JAN), entry(FEB)])
    assert (plan.load, plan.delete) == ((again,), (("2024-01-01", "2024-02-01"),))


def test_adjacent_days_are_emptied_together():
    plan = make_plan(manifest("append", JAN, FEB, APR))
    assert plan.delete == (("2024-01-01", "2024-03-01"), ("2024-04-01", "2024-05-01"))


def test_unpublished_days_are_emptied_too():
    plan = make_plan(manifest("append", JAN), [entry(JAN), entry(APR)])
    assert (plan.load, plan.delete) == ((), (("2024-04-01", "2024-05-01"),))


def test_without_days_each_run_adds_its_rows_once():
    first, second = record("first"), record("second")
    plan = make_plan(manifest("append", first, second), [entry(first)])
    assert (plan.load, plan.delete) == ((second,), ())


def test_rows_without_days_cannot_be_removed():
    with pytest.raises(TargetError, match="dump_mode: the table has rows of first, which is no longer published"):
        make_plan(manifest("append", record("first", content="2")), [entry(record("first"))])


def test_row_counts_must_agree():
    plan = make_plan(manifest("overwrite", JAN, FEB))
    plan.check(3)
    with pytest.raises(TargetError, match="2 rows came into the target, the files have 3; nothing was changed"):
        plan.check(2)


def test_the_ledger_as_rows():
    rows = make_plan(manifest("append", JAN), [entry(JAN)]).ledger_rows
    assert rows.schema == LEDGER_SCHEMA
    assert rows["loaded_at"] == pa.array([THEN], pa.timestamp("us", "UTC"))
