import gzip
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from errors import FileError, LoadError
from rows import BATCH_ROWS, open_rows


def read(path):
    rows = open_rows(path)
    return pa.Table.from_batches(rows.batches(), rows.columns)


@pytest.fixture
def csv(tmp_path):
    def write(text, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("texts", "type_", "values"),
    [
        (("1", "", "-20"), pa.int64(), [1, None, -20]),
        (("1", "2.50", "-0.125"), pa.decimal128(38, 3), [Decimal("1"), Decimal("2.5"), Decimal("-0.125")]),
        (("1e5", "0.5"), pa.float64(), [100000.0, 0.5]),
        (("true", "False"), pa.bool_(), [True, False]),
        (("2024-02-29",), pa.date32(), [date(2024, 2, 29)]),
        (("2024-02-30",), pa.string(), ["2024-02-30"]),
        (("2024-03-31 02:30:00.000001",), pa.timestamp("us"), [datetime(2024, 3, 31, 2, 30, 0, 1)]),
        (("2024-03-31T02:30:00Z",), pa.timestamp("us", "UTC"), [datetime(2024, 3, 31, 2, 30, tzinfo=UTC)]),
        (("007", "12"), pa.string(), ["007", "12"]),
        (("9" * 19, "1"), pa.string(), ["9" * 19, "1"]),
        (("None", "NULL", '""', "", "NaN", '"a,b"', '"two\nlines"'), pa.string(), None),
        (("", ""), pa.null(), [None, None]),
    ],
)
def test_a_csv_column_has_the_type_of_all_its_values(csv, texts, type_, values):
    table = read(csv("id,Value\n" + "".join(f"{number},{text}\n" for number, text in enumerate(texts))))
    assert table.schema.field("value").type == type_
    assert table["value"].to_pylist() == (values or ["None", "NULL", "", None, "NaN", "a,b", "two\nlines"])


def test_the_type_considers_the_last_value(csv, monkeypatch):
    monkeypatch.setattr("rows.BLOCK_BYTES", 1000)
    table = read(csv("a\n" + "1\n" * 10_000 + "1.5\n", "a.csv.gz"))
    assert table.schema.field("a").type == pa.decimal128(38, 1)
    assert table.num_rows == 10_001


def test_parquet_keeps_its_types(tmp_path):
    table = pa.table(
        {
            "VendorID": pa.array([1, None], pa.int32()),
            "at": pa.array([datetime(2024, 1, 1), None], pa.timestamp("ns")),
            "price": pa.array([Decimal("-1.10"), None], pa.decimal128(12, 2)),
            "kind": pa.array(["a", "a"]).dictionary_encode(),
            "fee": pa.nulls(2),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    result = read(tmp_path / "a.parquet")
    assert result.schema.types == [pa.int32(), pa.timestamp("us"), pa.decimal128(12, 2), pa.string(), pa.null()]
    assert result.to_pylist() == [{name.lower(): value for name, value in row.items()} for row in table.to_pylist()]


def test_batches_are_small(tmp_path):
    parquet.write_table(pa.table({"a": range(3 * BATCH_ROWS)}), tmp_path / "a.parquet")
    assert max(batch.num_rows for batch in open_rows(tmp_path / "a.parquet").batches()) <= BATCH_ROWS


def damaged(path, data):
    path.write_bytes(data)
    return path


def test_a_broken_file_is_named(csv, tmp_path):
    whole = csv("a\n" + "".join(f"{number}\n" for number in range(100_000)), "a.csv.gz").read_bytes()
    parquet.write_table(pa.table({"a": [str(number) for number in range(100_000)]}), tmp_path / "a.parquet")
    rows = (tmp_path / "a.parquet").read_bytes()
    middle = len(rows) // 2
    for path in (
        damaged(tmp_path / "cut.csv.gz", whole[: len(whole) // 2]),
        damaged(tmp_path / "text.csv.gz", b"<html>not found</html>"),
        damaged(tmp_path / "cut.parquet", rows[:middle]),
        damaged(tmp_path / "hole.parquet", rows[:middle] + bytes(5000) + rows[middle + 5000 :]),
        damaged(tmp_path / "empty.csv", b""),
        damaged(tmp_path / "ragged.csv", b"a,b\n1\n"),
    ):
        with pytest.raises(FileError, match=f"^{path.name} cannot be read: .+$"):
            read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html><body>please sign in</body></html>", "begins with <, as web pages and messages do"),
        ("\ufeff\n <!DOCTYPE html>,", "begins with <, as web pages and messages do"),
        ('{"error": "no such month", "code": 7}', "begins with {, as web pages and messages do"),
        ("id;fare\n1;2,5\n", "has ';' where commas belong"),
        ("id\tfare\n1\t2\n", r"has '\\t' where commas belong"),
        ('id,note\n1,ok\n\n2,"never closed\n3,x\n4,y\n', "line 4: a quote in it does not end"),
        ('id,note\n1,"two\nlines"\n2,"never closed\n' + "3,x\n" * 100_000, "line 4: a quote in it does not end"),
        ('id,note\n1,"closed" late\n2,"x"\n', "line 2: a quote in it does not end where a value does"),
        ('\ufeff"id","note\n1,2\n', "line 1: a quote in it does not end"),
        ("id,,fare\n1,2,3\n", "column 2 has no name"),
        ("id," + "é" * 32 + "\n1,2\n", "would cut the name of column é{32} at 63 bytes"),
        ("a,A\n1,2\n", "several columns are called a, in lower case"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_text_that_is_not_a_table_is_a_file_error(csv, text, message, name):
    with pytest.raises(FileError, match=rf"^{name}.*{message}"):
        open_rows(csv(text, name))


@pytest.mark.parametrize(
    "text", ['\ufeff"id",note\n1,x\n', "\ufeffid,note\n1,x\n", 'id,note\r\n1,"x"\r\n', "id,note\r1,x\r"]
)
def test_ways_to_write_csv(csv, text):
    assert read(csv(text)).to_pylist() == [{"id": 1, "note": "x"}]


@pytest.mark.parametrize("text", ["id,note\n", "id,note", "id,note\n,\n,\n"])
def test_a_file_without_values(csv, text):
    assert open_rows(csv(text)).columns == pa.schema([("id", pa.null()), ("note", pa.null())])
    assert read(csv(text)).num_rows == 0


@pytest.mark.parametrize(("text", "name"), [("a\n1\n", "a.txt")])
def test_an_unsupported_file_type(csv, text, name):
    with pytest.raises(LoadError, match=r"neither \.parquet, \.csv nor \.csv\.gz"):
        open_rows(csv(text, name))
