import hashlib
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet
import pytest

import files
from errors import ParameterError
from files import Layout, write_files
from storage import Folder, StorageError

NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
AWKWARD = ["None", "", None, "NULL", 'say "hi"', "two\nlines", "a,b", "back\\slash", "😀", "NaN", " "]


def write(folder, batches, layout=None, progress=lambda batches, rows: None):
    layout = layout or Layout("parquet", add_timestamp_column=False)
    return write_files(folder, "data", "chunk", batches, batches[0].schema, layout, NOW, progress)


def test_parquet_keeps_types_nulls_and_texts(tmp_path):
    batch = pa.record_batch(
        {
            "text": pa.array(AWKWARD),
            "amount": pa.array([Decimal("-9999999999.99"), None, *[Decimal("0.10")] * 9], pa.decimal128(12, 2)),
            "at": pa.array([NOW] * 11, pa.timestamp("us", "UTC")),
            "raw": pa.array([b"\x00\xff"] * 11, pa.binary()),
        }
    )
    [file] = write(Folder(str(tmp_path)), [batch, batch])
    content = tmp_path / file.path
    assert parquet.read_table(content).equals(pa.Table.from_batches([batch, batch]))
    assert parquet.ParquetFile(content).metadata.row_group(0).column(0).compression == "ZSTD"
    assert (file.rows, file.bytes) == (22, content.stat().st_size)
    assert file.sha256 == hashlib.sha256(content.read_bytes()).hexdigest()


def test_csv_distinguishes_the_text_none_and_the_empty_text_from_null(tmp_path):
    batch = pa.record_batch({"text": pa.array(AWKWARD), "raw": pa.array([b"\x00\xff"] * 10 + [None], pa.binary())})
    [file] = write(Folder(str(tmp_path)), [batch], Layout("csv", add_timestamp_column=False))
    read = csv.read_csv(
        tmp_path / file.path,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            column_types={"text": pa.string(), "raw": pa.string()},
        ),
    )
    assert read["text"].to_pylist() == AWKWARD
    assert read["raw"].to_pylist() == ["\\x00ff"] * 10 + [None]


def test_timestamp_column(tmp_path):
    batch = pa.record_batch({"id": [1, 2]})
    [file] = write(Folder(str(tmp_path)), [batch], Layout("parquet"))
    assert parquet.read_table(tmp_path / file.path)["_extracted_at"].to_pylist() == [NOW, NOW]
    with pytest.raises(ParameterError, match="add_timestamp_column: the query itself gives _extracted_at"):
        Layout("parquet").schema(pa.schema([("_extracted_at", pa.string())]))


def test_each_row_lies_in_one_folder_when_there_are_several_partition_columns(tmp_path):
    batch = pa.record_batch({"a": [1, 2, 1, 2], "b": [2, 1, 1, 2], "id": [12, 21, 11, 22]})
    written = write(Folder(str(tmp_path)), [batch], Layout("parquet", ("a", "b"), add_timestamp_column=False))
    rows = {
        file.path.removeprefix("data/").rpartition("/")[0]: parquet.ParquetFile(tmp_path / file.path)
        .read(columns=["id"])["id"]
        .to_pylist()
        for file in written
    }
    assert rows == {
        "a_partition=1/b_partition=2": [12],
        "a_partition=2/b_partition=1": [21],
        "a_partition=1/b_partition=1": [11],
        "a_partition=2/b_partition=2": [22],
    }


def test_date_folders_follow_the_format_and_awkward_values_are_encoded(tmp_path):
    batch = pa.record_batch(
        {
            "at": pa.array([datetime(2024, 1, 31, 23, 59, 59, 999999, UTC), None], pa.timestamp("us", "UTC")),
            "day": pa.array([date(2024, 2, 29)] * 2),
            "text": ["../é b", "None"],
        }
    )
    layout = Layout("parquet", ("at", "day", "text"), "%Y-%m", add_timestamp_column=False)
    written = write(Folder(str(tmp_path)), [batch], layout)
    assert {file.path.rpartition("/")[0] for file in written} == {
        "data/at_partition=2024-01/day_partition=2024-02/text_partition=..%2F%C3%A9%20b",
        "data/at_partition=__HIVE_DEFAULT_PARTITION__/day_partition=2024-02/text_partition=None",
    }


def test_a_partition_column_missing_in_the_query_is_refused():
    with pytest.raises(ParameterError, match="partition_columns: the query gives no nope; it gives id"):
        Layout("parquet", ("nope",)).schema(pa.schema([("id", pa.int32())]))


def test_too_many_folders_give_advice(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_FOLDERS", 3)
    with pytest.raises(ParameterError, match=r"partition_columns: more than 3 folders.*partition_date_format"):
        write(Folder(str(tmp_path)), [pa.record_batch({"id": range(4)})], Layout("parquet", ("id",)))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_dump_without_rows_has_columns(tmp_path):
    schema = pa.schema([("id", pa.int32())])
    folder = Folder(str(tmp_path))
    [file] = write_files(folder, "data", "chunk", [], schema, Layout("parquet"), NOW, lambda *_: None)
    assert parquet.read_schema(tmp_path / file.path).names == ["id", "_extracted_at"]


def test_an_interrupted_read_leaves_no_file(tmp_path):
    def broken():
        yield pa.record_batch({"id": [1]})
        raise ConnectionError

    with pytest.raises(ConnectionError):
        write_files(
            Folder(str(tmp_path)),
            "data",
            "chunk",
            broken(),
            pa.schema([("id", pa.int64())]),
            Layout("parquet"),
            NOW,
            lambda *_: None,
        )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_progress_counts_batches_and_rows(tmp_path):
    seen = []
    write(Folder(str(tmp_path)), [pa.record_batch({"id": [1, 2]})] * 2, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 2), (2, 4)]


def test_an_address_without_a_driver_is_refused():
    with pytest.raises(StorageError, match="staging_root: nope://x cannot be opened"):
        Folder("nope://x")


@pytest.mark.parametrize(
    "date_format", ["%Y-%-m", "%s", "%Y%", "%%", "%m-%Y", "%d/%m/%Y", "%b", "%H", "all", "", "%Y-W%V"]
)
def test_a_date_format_that_does_not_sort_is_refused(date_format):
    with pytest.raises(ParameterError, match=r"^partition_date_format: .* makes .* of 2023-12-09; give codes"):
        Layout("csv", ("day",), date_format)


@pytest.mark.parametrize(
    "date_format", ["%Y", "%Y-%m", "%Y-%m-%d", "%F", "%Y%m%d", "%G-W%V", "%Y/%j", "%y%m", "%Y-%m-%dT%H"]
)
def test_date_formats_that_sort_are_accepted(date_format):
    Layout("csv", ("day",), date_format)


@pytest.mark.parametrize("value", ["x" * 300, "é" * 100])
def test_a_value_too_long_for_a_folder_name_is_refused(tmp_path, value):
    batch = pa.record_batch({"title": [value, "short"]})
    with pytest.raises(ParameterError, match=r"^partition_columns: a value of title makes a folder's name of \d+"):
        write_files(
            Folder(str(tmp_path)),
            "data",
            "all",
            [batch],
            batch.schema,
            Layout("csv", ("title",), add_timestamp_column=False),
            datetime.now(UTC),
            lambda *_: None,
        )
    assert not list(tmp_path.rglob("*.csv"))
