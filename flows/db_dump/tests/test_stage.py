"""What is published is complete, independent of interruptions before."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from staging import APR, FEB, JAN, LAYOUT, MAR, NOW, SCHEMA, SOURCE, Dump, pieces, rows

import storage
from errors import ParameterError
from files import Layout
from records import Chunk
from stage import Table
from storage import Folder, StorageError


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


def test_overwrite_replaces_all_rows(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    dump.run("overwrite", pieces(JAN, FEB), {JAN: [9]})
    assert dump.ids() == [9]


def test_old_data_stays_until_the_new_data_is_complete(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    dump.run("overwrite", pieces(JAN, APR), {JAN: [7], FEB: [8], MAR: [9]}, stop_after=2)
    assert dump.ids() == [1, 2, 3, 4, 5]


def test_a_rerun_reads_only_incomplete_pieces(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE, stop_after=2)
    assert dump.table.published() is None
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    assert dump.reads == [MAR]
    assert dump.ids() == [1, 2, 3, 4, 5]


def test_a_finished_overwrite_is_not_resumed(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    dump.run("overwrite", pieces(JAN, APR), {JAN: [7], FEB: [8], MAR: [9]})
    assert dump.reads == [JAN, FEB, MAR]
    assert dump.ids() == [7, 8, 9]


def test_pieces_of_another_query_or_layout_are_not_reused(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE, stop_after=2)
    dump.run("overwrite", pieces(JAN, APR, query="SELECT other"), SOURCE)
    assert dump.reads == [JAN, FEB, MAR]


def test_pieces_of_an_old_interrupted_run_are_not_reused(dump):
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
    version = dump.table.choose_version("overwrite", NOW)
    with pytest.raises(ConnectionError):
        dump.table.extract(version, chunks[0], SCHEMA, broken(), lambda *_: None)
    dump.run("overwrite", chunks, SOURCE)
    assert dump.ids() == [1, 2, 3]


def test_publishing_needs_every_piece(dump):
    chunks = pieces(JAN, APR)
    version = dump.table.choose_version("overwrite", NOW)
    record = dump.table.extract(version, chunks[0], SCHEMA, rows(1), lambda *_: None)
    with pytest.raises(ValueError, match="not every chunk is complete"):
        dump.table.publish("overwrite", version, "SELECT *", SCHEMA, chunks, [record])
    assert dump.table.published() is None


def test_the_previous_version_stays_and_older_versions_are_removed(dump):
    first = dump.run("overwrite", pieces(JAN, FEB), SOURCE)
    second = dump.run("overwrite", pieces(JAN, FEB), SOURCE)
    third = dump.run("overwrite", pieces(JAN, FEB), SOURCE)
    assert {path.split("/")[1] for path in dump.files()} == {second.version, third.version}
    assert first.version not in (second.version, third.version)


def test_a_piece_of_an_interrupted_run_with_other_columns_is_read_again(dump):
    dump.run("overwrite", pieces(JAN, APR), SOURCE, stop_after=2, schema=SCHEMA.append(pa.field("gone", pa.int8())))
    dump.run("overwrite", pieces(JAN, APR), SOURCE)
    assert dump.reads == [JAN, FEB, MAR]


@pytest.mark.parametrize("data_type", ["csv", "parquet"])
def test_rows_survive_writing_and_reading(tmp_path, data_type):
    schema = pa.schema(
        [
            ("text", pa.string()),
            ("bytes", pa.binary()),
            ("amount", pa.decimal128(12, 2)),
            ("big", pa.uint64()),
            ("ratio", pa.float64()),
            ("day", pa.date32()),
            ("at", pa.timestamp("us", "UTC")),
            ("clock", pa.time64("us")),
            ("yes", pa.bool_()),
        ]
    )
    values = [
        ["", None, 'two\nlines, "quoted"', "NULL", "é"],
        [b"", None, b"\x00\xff", b"\\x", b"a"],
        [Decimal("-9999999999.99"), None, Decimal("0.10"), Decimal(0), Decimal(1)],
        [2**64 - 1, None, 0, 1, 2],
        [0.1, None, 1e300, -0.0, 3.0],
        [date(1, 1, 1), None, date(9999, 12, 31), date(2024, 2, 29), date(1970, 1, 1)],
        [datetime(2024, 1, 1, 23, 59, 59, 999999, UTC), None, *[datetime(1970, 1, 1, tzinfo=UTC)] * 3],
        [clock(23, 59, 59, 999999), None, clock(), clock(1), clock(2)],
        [True, None, False, True, False],
    ]
    table, chunk = Table(str(tmp_path), "shop", "orders"), Chunk("q", None, Layout(data_type), "db")
    batch = pa.record_batch(values, schema=schema)
    record = table.extract("1", chunk, schema, [batch], lambda *_: None)
    manifest = table.publish("overwrite", "1", "q", chunk.layout.schema(schema), [chunk], [record])
    assert pa.Table.from_batches(table.read(manifest, manifest.chunks, schema)) == pa.Table.from_batches([batch])


def test_an_unreadable_file_is_named(dump):
    manifest = dump.run("overwrite", pieces(JAN, FEB), SOURCE)
    [file] = manifest.chunks[0].files
    Path(dump.root, "shop", "orders", file.path).write_bytes(b"PAR1 no more")
    with pytest.raises(StorageError, match=rf"{file.path}: cannot be read \(.*\); dump it again"):
        list(dump.table.read(manifest, manifest.chunks, SCHEMA))


def test_a_manifest_of_an_older_release_allows_reading_and_overwriting_only(dump):
    dump.run("overwrite", pieces(JAN, FEB), SOURCE)
    path = Path(dump.root, "shop", "orders", "manifest.json")
    older = json.loads(path.read_text())
    del older["arrow_schema"], older["partition_columns"]
    path.write_text(json.dumps(older))
    assert dump.ids() == [1, 2]
    with pytest.raises(ParameterError, match=r"dump_mode: .* older release"):
        dump.table.merged_schema("append", pieces(JAN, FEB), SCHEMA)
    dump.run("overwrite", pieces(JAN, FEB), SOURCE)


def test_a_second_run_of_the_same_table_is_kept_out(dump):
    other = Table(dump.root, "shop", "orders")
    with dump.table.lock(), pytest.raises(StorageError, match=r"another run is writing this table"), other.lock():
        pass
    with other.lock():
        pass


def test_a_second_run_is_kept_out_of_an_object_store_until_the_lock_expires(monkeypatch):
    table, other = Table("memory://locked", "shop", "orders"), Table("memory://locked", "shop", "orders")
    with (
        table.lock(),
        pytest.raises(StorageError, match=r"another run .*, or 5 minutes if it was killed"),
        other.lock(),
    ):
        pass
    with other.lock():
        monkeypatch.setattr(storage, "LEASE", timedelta(0))
        with table.lock():
            pass


def test_killed_in_the_middle_of_a_piece(dump):
    """SIGKILL while a file is being written: nothing of it counts, and the rerun leaves no trace of it."""
    script = f"""
import os, signal, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from staging import *
dump = Dump({dump.root!r})
dump.run("overwrite", pieces(JAN, APR), SOURCE, stop_after=1)
chunks = pieces(JAN, APR)
def killed():
    yield from rows(3)
    while not any(Path(dump.root).rglob("*.part")):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
with dump.table.lock():
    dump.table.extract(dump.table.choose_version("overwrite", NOW), chunks[1], SCHEMA, killed(), lambda *_: None)
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
            version = table.choose_version("overwrite", datetime.now(UTC))
            record = table.extract(version, chunks[0], SCHEMA, rows(*ids), lambda *_: None)
            table.publish("overwrite", version, "SELECT *", SCHEMA, chunks, [record])
    published = table.published()
    folder = Folder(f"{root}/shop/orders")
    assert published.rows == 2
    assert len(folder.folders("versions")) == 2
    [file] = published.chunks[0].files
    assert folder.size(file.path) == file.bytes
    assert folder.sha256(file.path) == file.sha256


def test_no_rows_replace_rows_only_with_allow_empty(dump):
    dump.run("overwrite", pieces(JAN, FEB), SOURCE)
    with pytest.raises(ParameterError, match=r"^allow_empty: .* would replace the 2 that are published"):
        dump.run("overwrite", pieces(JAN, FEB), {JAN: []})
    assert dump.ids() == [1, 2]
    [chunk] = pieces(JAN, FEB)
    version = dump.table.choose_version("overwrite", NOW)
    record = dump.table.extract(version, chunk, SCHEMA, rows(), lambda *_: None)
    dump.table.publish("overwrite", version, "SELECT *", SCHEMA, [chunk], [record], allow_empty=True)
    assert dump.ids() == []
    # of none there is nothing to lose
    dump.run("overwrite", pieces(JAN, FEB), {JAN: []})


def test_a_row_of_csv_may_be_larger_than_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr("reading.BLOCK_BYTES", 1000)
    texts = ["short", "first\n" * 300, None, "x" * 20_000, "", "last"]
    table, chunk = Table(str(tmp_path), "shop", "orders"), Chunk("q", None, replace(LAYOUT, data_type="csv"), "db")
    batch = pa.record_batch({"text": texts, "day": [JAN] * len(texts)})
    record = table.extract("1", chunk, batch.schema, [batch], lambda *_: None)
    manifest = table.publish("overwrite", "1", "q", batch.schema, [chunk], [record])
    read = pa.Table.from_batches(table.read(manifest, manifest.chunks, batch.schema))
    assert read["text"].to_pylist() == texts


def test_an_unwritable_root_names_the_parameter(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        StorageError, match=r"^staging_root: .*/file/shop/orders cannot be written to \(Not a directory\)"
    ):
        Table(str(tmp_path / "file"), "shop", "orders").lock().__enter__()
