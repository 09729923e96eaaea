"""What is published is whole, whatever broke off before it."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from files import Layout
from periods import Period, split
from query import ParameterError
from stage import Chunk, Table
from storage import Folder, StorageError

LAYOUT = Layout("parquet", ("day",), "%Y-%m", add_timestamp_column=False)
SCHEMA = pa.schema([("id", pa.int64()), ("day", pa.date32())])
NOW = datetime.now(UTC)


def pieces(start, stop, query="SELECT *", layout=LAYOUT):
    return [Chunk(f"{query} {piece}", piece, layout, "db") for piece in split(start, stop, "month")]


def rows(*ids, day=date(2024, 1, 1)):
    return [pa.record_batch([list(ids), [day] * len(ids)], schema=SCHEMA)]


class Dump:
    """Runs the steps the flow runs; `source` maps the first day of a piece to its ids, `reads` notes what was read."""

    def __init__(self, root):
        self.root = str(root)
        self.table = Table(self.root, "shop", "orders")
        self.reads = []

    def run(self, mode, chunks, source, now=None, stop_after=None):
        now = now or datetime.now(UTC)
        if mode == "append":
            self.table.check_append(chunks, SCHEMA)
        version = self.table.begin(mode, now)
        self.reads = []
        records = []
        for chunk in chunks:
            if stop_after is not None and len(records) == stop_after:
                return None
            whole = self.table.whole(version, [chunk], now)
            if whole:
                [record] = whole
            else:
                start = chunk.period and chunk.period.start
                self.reads.append(start)
                record = self.table.extract(
                    version, chunk, SCHEMA, rows(*source[start], day=start or date(2024, 1, 1)), lambda *_: None
                )
            records.append(record)
        return self.table.publish(mode, version, "SELECT *", SCHEMA, chunks, records)

    def ids(self):
        base = Path(self.root, "shop", "orders")
        manifest = self.table.published()
        files = [base / file.path for chunk in manifest.chunks for file in chunk.files]
        return sorted(id for file in files for id in parquet.ParquetFile(file).read()["id"].to_pylist())

    def files(self):
        base = Path(self.root, "shop", "orders")
        return {str(path.relative_to(base)) for path in base.rglob("*.parquet")}


JAN, FEB, MAR, APR = (date(2024, month, 1) for month in (1, 2, 3, 4))
SOURCE = {JAN: [1, 2], FEB: [3], MAR: [4, 5]}


@pytest.fixture
def dump(tmp_path):
    return Dump(tmp_path)


def test_overwrite_in_pieces_keeps_every_piece(dump):
    manifest = dump.run("overwrite", pieces(JAN, APR), SOURCE)
    assert dump.ids() == [1, 2, 3, 4, 5]
    assert manifest.rows == 5
    assert [(chunk.start, chunk.stop, chunk.rows) for chunk in manifest.chunks] == [
        ("2024-01-01", "2024-02-01", 2),
        ("2024-02-01", "2024-03-01", 1),
        ("2024-03-01", "2024-04-01", 2),
    ]
    assert len({chunk.query_hash for chunk in manifest.chunks}) == 3


def test_overwrite_replaces_all_of_what_was_there(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    dump.run("overwrite", pieces(JAN, FEB), {JAN: [9]})
    assert dump.ids() == [9]


def test_old_data_stays_until_the_new_is_whole(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    dump.run("overwrite", pieces(JAN, APR), {JAN: [7], FEB: [8], MAR: [9]}, stop_after=2)
    assert dump.ids() == [1, 2, 3, 4, 5]


def test_a_rerun_reads_only_what_is_not_whole(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE, stop_after=2)
    assert dump.table.published() is None
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    assert dump.reads == [MAR]
    assert dump.ids() == [1, 2, 3, 4, 5]


def test_a_finished_overwrite_is_not_taken_up_again(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    dump.run("overwrite", pieces(JAN, APR), {JAN: [7], FEB: [8], MAR: [9]})
    assert dump.reads == [JAN, FEB, MAR]
    assert dump.ids() == [7, 8, 9]


def test_another_query_or_layout_is_not_taken_up(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE, stop_after=2)
    dump.run("overwrite", pieces(JAN, APR, query="SELECT other"), SOURCE)
    assert dump.reads == [JAN, FEB, MAR]


def test_what_broke_off_too_long_ago_is_begun_anew(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE, stop_after=2)
    dump.run("overwrite", pieces(JAN, APR), SOURCE, now=datetime.now(UTC) + timedelta(hours=25))
    assert dump.reads == [JAN, FEB, MAR]


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * path.stat().st_size)]
)
def test_a_damaged_piece_is_read_again(dump, tmp_path, damage):
    dump.run("overwrite", pieces(JAN, APR), SOURCE, stop_after=2)
    [january] = [path for path in tmp_path.rglob("*.parquet") if "2024-01-01" in path.name]
    damage(january)
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    assert dump.reads == [JAN, MAR]
    assert dump.ids() == [1, 2, 3, 4, 5]


def test_a_retry_after_a_partial_write_has_no_row_twice(dump, tmp_path):
    def broken():
        yield from rows(3)
        raise ConnectionError

    chunks = pieces(JAN, MAR)
    version = dump.table.begin("overwrite", NOW)
    with pytest.raises(ConnectionError):
        dump.table.extract(version, chunks[0], SCHEMA, broken(), lambda *_: None)
    dump.run("overwrite", chunks, SOURCE)
    assert dump.ids() == [1, 2, 3]


def test_publishing_needs_every_piece(dump):
    chunks = pieces(JAN, APR)
    version = dump.table.begin("overwrite", NOW)
    record = dump.table.extract(version, chunks[0], SCHEMA, rows(1), lambda *_: None)
    with pytest.raises(ValueError, match="not every chunk is whole"):
        dump.table.publish("overwrite", version, "SELECT *", SCHEMA, chunks, [record])
    assert dump.table.published() is None


def test_the_version_before_stays_for_its_readers_and_older_ones_go(dump):
    first = dump.run("overwrite", pieces(JAN, FEB), SOURCE)
    second = dump.run("overwrite", pieces(JAN, FEB), SOURCE)
    third = dump.run("overwrite", pieces(JAN, FEB), SOURCE)
    assert {path.split("/")[1] for path in dump.files()} == {second.version, third.version}
    assert first.version not in (second.version, third.version)


def test_append_reads_a_period_that_is_over_once(dump):
    dump.run("append", pieces(JAN, MAR), SOURCE)
    dump.run("append", pieces(JAN, APR), SOURCE)
    assert dump.reads == [MAR]
    assert dump.ids() == [1, 2, 3, 4, 5]


def test_append_reads_a_period_that_was_not_over_again_and_replaces_it(dump):
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


def test_append_leaves_what_lies_outside_its_range(dump):
    dump.run("append", pieces(JAN, APR), SOURCE)
    dump.run("append", pieces(FEB, MAR, query="SELECT corrected"), {FEB: [33]})
    assert dump.ids() == [1, 2, 4, 5, 33]


def test_append_without_periods_adds_once_a_run(dump):
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
        (pieces(JAN, APR), SCHEMA.append(pa.field("new", pa.int8())), r"execute_query: the columns differ.*\(new\)"),
    ],
)
def test_append_refuses_what_does_not_fit(dump, chunks, schema, message):
    dump.run("append", pieces(JAN, APR), SOURCE)
    with pytest.raises(ParameterError, match=message):
        dump.table.check_append(chunks, schema)


def test_a_second_run_of_the_same_table_is_kept_out(dump):
    other = Table(dump.root, "shop", "orders")
    with dump.table.lock(), pytest.raises(StorageError, match="another run is writing this table"), other.lock():
        pass
    with other.lock():
        pass


def test_killed_in_the_middle_of_a_piece(dump):
    """SIGKILL while a file is being written: nothing of it counts, and the rerun leaves no trace of it."""
    script = f"""
import os, signal, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from test_stage import *
dump = Dump({dump.root!r})
dump.run("overwrite", pieces(JAN, APR), SOURCE, stop_after=1)
chunks = pieces(JAN, APR)
def killed():
    yield from rows(3)
    os.kill(os.getpid(), signal.SIGKILL)
with dump.table.lock():
    dump.table.extract(dump.table.begin("overwrite", NOW), chunks[1], SCHEMA, killed(), lambda *_: None)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert any(path.suffix == ".part" for path in Path(dump.root).rglob("*"))
    with dump.table.lock():
        dump.run("overwrite", pieces(JAN, APR), SOURCE)
    assert dump.reads == [FEB, MAR]
    assert dump.ids() == [1, 2, 3, 4, 5]
    assert not any(path.suffix == ".part" for path in Path(dump.root).rglob("*"))


def test_an_object_store_is_written_the_same_way():
    root = "memory://dumps"
    table = Table(root, "shop", "orders")
    chunks = pieces(JAN, FEB)
    with table.lock():
        for ids in ([1], [2], [3, 4]):
            version = table.begin("overwrite", datetime.now(UTC))
            record = table.extract(version, chunks[0], SCHEMA, rows(*ids), lambda *_: None)
            table.publish("overwrite", version, "SELECT *", SCHEMA, chunks, [record])
    published = table.published()
    folder = Folder(f"{root}/shop/orders")
    assert published.rows == 2
    assert len(folder.folders("versions")) == 2
    [file] = published.chunks[0].files
    assert folder.size(file.path) == file.bytes
    assert folder.sha256(file.path) == file.sha256
