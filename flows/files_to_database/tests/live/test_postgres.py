"""Every row arrives as it is in the file, once, however often and however interrupted it is loaded."""

# ruff: noqa: S608 - the queries are written here
import gzip
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from dataclasses import replace as changed
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from errors import FileError, LoadError, Unavailable
from postgres import AtLeast, replace
from rows import open_rows

MANY = 250_000


@pytest.fixture
def load(database, table, tmp_path):
    """Load a table of Arrow as the file of a month."""

    def run(content, month="yellow/2024-01"):
        path = tmp_path / "a.parquet"
        parquet.write_table(content, path)
        return replace(database, table, month, open_rows(path))

    return run


def test_all_rows_of_a_large_csv_are_loaded(database, table, sql, tmp_path):
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("id,Fare,at,note\n")
        file.writelines(f"{n},{n}.25,2024-01-01 00:00:00,None\n" for n in range(MANY))
    assert replace(database, table, "yellow/2024-01", open_rows(path)) == MANY
    counts = f"SELECT count(*), count(DISTINCT id), sum(fare)::text, min(note), max(at), min(_month) FROM {table}"
    total = f"{sum(range(MANY)) + MANY / 4:.2f}"
    assert sql(counts) == [(MANY, MANY, total, "None", datetime(2024, 1, 1), "yellow/2024-01")]


def test_loading_twice_gives_the_same_rows_and_leaves_other_months(load, table, sql):
    months = "SELECT _month, count(*), min(a), max(a) FROM " + table + " GROUP BY 1 ORDER BY 1"
    load(pa.table({"a": range(MANY)}))
    load(pa.table({"a": range(10)}), "yellow/2024-02")
    before = sql(months)
    load(pa.table({"a": range(MANY)}))
    assert sql(months) == before == [("yellow/2024-01", MANY, 0, MANY - 1), ("yellow/2024-02", 10, 0, 9)]
    load(pa.table({"a": [7]}))
    assert sql(months)[0] == ("yellow/2024-01", 1, 7, 7)


def test_types_are_those_of_the_file(load, table, sql):
    values = {
        "small": (pa.int8(), -128, "smallint"),
        "byte": (pa.uint8(), 255, "smallint"),
        "int": (pa.int32(), -(2**31), "integer"),
        "big": (pa.int64(), -(2**63), "bigint"),
        "huge": (pa.uint64(), 2**64 - 1, "numeric"),
        "real": (pa.float32(), 0.5, "real"),
        "double": (pa.float64(), 0.1, "double precision"),
        "price": (pa.decimal128(12, 2), Decimal("-9999999999.99"), "numeric"),
        "digits": (pa.decimal128(38, 10), Decimal("9" * 28 + "." + "9" * 10), "numeric"),
        "flag": (pa.bool_(), True, "boolean"),
        "day": (pa.date32(), date(2024, 2, 29), "date"),
        "clock": (pa.time64("us"), time(23, 59, 59, 999999), "time without time zone"),
        "at": (pa.timestamp("ns"), datetime(2024, 3, 31, 2, 30), "timestamp without time zone"),
        "zoned": (
            pa.timestamp("us", "Europe/Paris"),
            datetime(2024, 3, 31, 2, 30, tzinfo=UTC),
            "timestamp with time zone",
        ),
        "text": (pa.large_string(), 'None\n"é😀', "text"),
        "bytes": (pa.binary(), b"\x00\xff", "bytea"),
    }
    columns = {name: pa.array([value, None], type_) for name, (type_, value, _) in values.items()}
    load(pa.table(columns | {"Odd Name": ["", None], "never": pa.nulls(2)}))
    columns_of_table = sql(
        "SELECT column_name, data_type FROM information_schema.columns "
        f"WHERE table_schema || '.' || table_name = '{table}' ORDER BY ordinal_position"
    )
    expected = [(name, type_) for name, (_, _, type_) in values.items()] + [("odd name", "text"), ("_month", "text")]
    assert columns_of_table == expected
    listed = ", ".join(f"{name}::text" if type_ == "numeric" else name for name, type_ in expected[:-2])
    [row, nulls] = sql(f'SELECT {listed} FROM {table} ORDER BY "odd name"')
    assert [str(value) for value in row] == [str(value) for _, value, _ in values.values()]
    assert set(nulls) == {None}


def test_a_later_file_may_have_other_columns_and_narrower_types(load, table, sql):
    load(pa.table({"a": [1], "Fee": pa.array([0.5]), "late": pa.nulls(1)}), "yellow/2024-01")
    load(pa.table({"fee": pa.array([2], pa.int32()), "late": [Decimal("1.5")]}), "yellow/2024-02")
    assert sql(f"SELECT a, fee, late::text FROM {table} ORDER BY _month") == [(1, 0.5, None), (None, 2.0, "1.5")]


def test_decimals_of_csv_may_have_other_digits_in_a_later_file(database, table, sql, tmp_path):
    for month, fare in {"2024-01": "2.50", "2024-02": "3.125"}.items():
        path = tmp_path / f"{month}.csv"
        path.write_text(f"fare\n{fare}\n")
        replace(database, table, month, open_rows(path))
    assert sql(f"SELECT fare::text FROM {table} ORDER BY _month") == [("2.5",), ("3.125",)]


def test_values_that_do_not_fit_leave_the_table_unchanged(load, table, sql):
    load(pa.table({"a": [1]}))
    with pytest.raises(LoadError, match=r"^a\.parquet: column a: .*0\.5.*ALTER COLUMN a TYPE … makes it wider$"):
        load(pa.table({"a": [0.5] * MANY, "new": ["x"] * MANY}))
    assert sql(f"SELECT * FROM {table}") == [(1, "yellow/2024-01")]


NARROWER = {
    "timestamp to date": (pa.array([datetime(2024, 1, 1)]).cast(pa.date32()), pa.array([datetime(2024, 1, 1, 7, 30)])),
    "int to bool": (pa.array([True]), pa.array([7])),
    "int to text to int": (pa.array([7]), pa.array(["007"])),
    "text to bool": (pa.array([True]), pa.array(["1"])),
    "text to time": (pa.array([datetime(2024, 1, 1)]), pa.array(["2024-01-01"])),
    "1e300 to real": (pa.array([1.5], pa.float32()), pa.array([1e300])),
    "0.1 to real": (pa.array([1.5], pa.float32()), pa.array([0.1])),
    "double to numeric": (pa.array([Decimal("1.5")], pa.decimal128(10, 2)), pa.array([0.125])),
    "double to any numeric": (pa.array([Decimal("1.5")], pa.decimal128(38, 2)), pa.array([0.125])),
    "numeric to double": (pa.array([1.5]), pa.array([Decimal("12345678901234567890.1")])),
    "numeric to fewer places": (pa.array([Decimal("1.5")], pa.decimal128(10, 1)), pa.array([Decimal("0.25")])),
    "int to smallint": (pa.array([1], pa.int16()), pa.array([40_000])),
    "large int to double": (pa.array([1.5]), pa.array([2**53 + 1])),
    "with a zone to without": (pa.array([datetime(2024, 1, 1)]), pa.array([datetime(2024, 1, 1, tzinfo=UTC)])),
    "without a zone to with": (pa.array([datetime(2024, 1, 1, tzinfo=UTC)]), pa.array([datetime(2024, 1, 1)])),
    "timestamp to time": (pa.array([time(1)]), pa.array([datetime(2024, 1, 1, 7, 30)])),
    "bool to date": (pa.array([date(2024, 1, 1)]), pa.array([True])),
    "bytes to text": (pa.array(["a"]), pa.array([b"\xff"])),
}


@pytest.mark.parametrize("case", NARROWER)
def test_a_type_that_would_change_values_is_refused(load, table, sql, case):
    first, later = NARROWER[case]
    load(pa.table({"a": first}))
    before = sql(f"SELECT a::text, _month FROM {table}")
    with pytest.raises(FileError, match=r"^a\.parquet: column a: .*ALTER COLUMN a TYPE … makes it wider$"):
        load(pa.table({"a": later}))
    assert sql(f"SELECT a::text, _month FROM {table}") == before


FITTING = {
    "midnight": (pa.array([datetime(2024, 1, 1)]).cast(pa.date32()), pa.array([datetime(2024, 1, 2)]), "2024-01-02"),
    "whole": (pa.array([1]), pa.array([7.0]), "7"),
    "not a number": (pa.array([1.5], pa.float32()), pa.array([float("nan"), float("inf")]), "NaN"),
    "to text": (pa.array(["a"]), pa.array([Decimal("1.50")]), "1.50"),
    "float to double": (pa.array([1.5]), pa.array([0.1], pa.float32()), "0.10000000149011612"),
    "date to timestamp": (pa.array([datetime(2024, 1, 1)]), pa.array([date(2024, 1, 2)]), "2024-01-02 00:00:00"),
    "nulls": (pa.array([True]), pa.array([None], pa.int64()), None),
    "int to any numeric": (pa.array([Decimal("1.5")], pa.decimal128(38, 2)), pa.array([2**63 - 1]), str(2**63 - 1)),
}


@pytest.mark.parametrize("case", FITTING)
def test_a_type_that_keeps_the_values_is_accepted(load, table, sql, case):
    first, later, text = FITTING[case]
    load(pa.table({"a": first}))
    load(pa.table({"a": later}))
    assert sql(f"SELECT a::text FROM {table}")[0] == (text,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<html>,please sign in</html>\n", "begins with <"),
        ("id;fare\n1;2\n", "has ';' where commas belong"),
        ("error,code\nno such month,7\n", r"no column of the table \S+, but error, code; correct address"),
        ("_month,id\nx,1\n", "has a column _month, which the table"),
        ('id,fare\n1,"2\n2,3\n', "line 2: a quote in it does not end"),
    ],
)
def test_a_malformed_file_leaves_the_table_unchanged(database, load, table, sql, tmp_path, content, message):
    load(pa.table({"id": [1], "fare": [2.5]}))
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(FileError, match=message):
        replace(database, table, "yellow/2024-01", open_rows(path))
    assert sql(f"SELECT * FROM {table}") == [(1, 2.5, "yellow/2024-01")]


@pytest.mark.parametrize("content", ["id,fare\n", "id,fare", "id,fare\n,\n,\n"])
def test_a_file_without_a_value_has_no_rows(database, load, table, sql, tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_text(content)
    assert replace(database, table, "yellow/2024-01", open_rows(path)) == 0
    load(pa.table({"id": [1], "fare": [2.5]}))
    assert replace(database, table, "yellow/2024-02", open_rows(path)) == 0
    assert sql(f"SELECT id, fare, _month FROM {table}") == [(1, 2.5, "yellow/2024-01")]
    assert replace(database, table, "yellow/2024-01", open_rows(path)) == 0
    assert sql(f"SELECT id, fare, _month FROM {table}") == []


def test_a_month_with_too_few_rows_is_refused(database, table, sql, tmp_path):
    path = tmp_path / "a.csv"

    def load(month, rows):
        path.write_text("id\n" + "1\n" * rows)
        return replace(database, table, month, open_rows(path), AtLeast(0.5, "yellow/2024-01"))

    assert load("yellow/2024-01", 10) == 10
    assert load("yellow/2024-02", 5) == 5
    with pytest.raises(FileError, match=r"^a\.csv: 4 rows are less than 50% of the 10 of yellow/2024-01; is the file"):
        load("yellow/2024-02", 4)
    assert sql(f"SELECT count(*) FROM {table}") == [(15,)]


def test_a_file_broken_in_its_middle_leaves_the_table_unchanged(database, load, table, sql, tmp_path):
    load(pa.table({"a": ["old"]}))
    content = pa.table({"a": [f"{number * 7919:x}" for number in range(MANY)]})
    parquet.write_table(content, tmp_path / "b.parquet", row_group_size=MANY // 4)
    data = (tmp_path / "b.parquet").read_bytes()
    late = len(data) * 6 // 10
    (tmp_path / "b.parquet").write_bytes(data[:late] + bytes(20_000) + data[late + 20_000 :])
    with pytest.raises(FileError, match=r"^b\.parquet cannot be read: .+$"):
        replace(database, table, "yellow/2024-02", open_rows(tmp_path / "b.parquet"))
    assert sql(f"SELECT * FROM {table}") == [("old", "yellow/2024-01")]


def test_readers_see_the_old_rows_until_the_new_ones_are_complete(database, load, table, sql, tmp_path):
    load(pa.table({"a": range(10)}))
    parquet.write_table(pa.table({"a": range(MANY)}), tmp_path / "b.parquet")
    rows, seen = open_rows(tmp_path / "b.parquet"), []

    class Watched:
        path, columns = rows.path, rows.columns

        def batches(self):
            for batch in rows.batches():
                yield batch
                seen.append(sql(f"SELECT count(*) FROM {table}")[0][0])

    replace(database, table, "yellow/2024-01", Watched())
    assert set(seen) == {10}
    assert len(seen) > 1
    assert sql(f"SELECT count(*) FROM {table}") == [(MANY,)]


def test_two_loads_of_a_month_at_once_do_not_add_up(database, table, sql, tmp_path):
    parquet.write_table(pa.table({"a": range(MANY)}), tmp_path / "b.parquet")
    rows = open_rows(tmp_path / "b.parquet")
    with ThreadPoolExecutor() as threads:
        loads = [threads.submit(replace, database, table, "yellow/2024-01", rows) for _ in range(3)]
    assert [load.result() for load in loads] == [MANY] * 3
    assert sql(f"SELECT count(*) FROM {table}") == [(MANY,)]


def test_a_foreign_table_stays_unchanged(load, table, sql):
    sql(f"CREATE TABLE {table} (a bigint)")
    with pytest.raises(LoadError, match=r"the table \S+ was not made by this flow"):
        load(pa.table({"a": [1]}))
    assert sql(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_foreign_table_with_the_name_of_a_partition_stays_unchanged(load, table, sql):
    sql(f"CREATE TABLE {table}_yellow_2024_01 (a bigint)")
    with pytest.raises(LoadError, match=r"trips_yellow_2024_01.* already exists"):
        load(pa.table({"a": [1]}))
    assert sql(f"SELECT to_regclass('{table}')::text") == [(None,)]


def test_a_column_that_a_table_cannot_hold_is_named(load):
    with pytest.raises(LoadError, match=r"column a is of type list<.*>, which the table .* cannot hold"):
        load(pa.table({"a": [[1]]}))


PEAK = """
import sys
from pathlib import Path
from postgres import Database, replace
from rows import open_rows
host, port, name, user, password, table, path = sys.argv[1:]
replace(Database(host, int(port), name, user, password), table, "x", open_rows(Path(path)))
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def test_memory_does_not_grow_with_the_file(database, table, tmp_path):
    peaks = []
    # the rows are 5 MB and 300 MB
    for rows in (10_000, 600_000):
        content = pa.table({"a": pa.repeat(pa.scalar("x" * 500), rows)})
        parquet.write_table(content, tmp_path / "a.parquet", use_dictionary=False, compression="zstd")
        arguments = [str(value) for value in (*astuple(database), table, tmp_path / "a.parquet")]
        process = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True)
        peaks.append(int(process.stdout))
    assert peaks[1] - peaks[0] < 100 * 1024, peaks


@pytest.mark.parametrize(
    ("change", "passing"),
    [({"password": "wrong-topsecret"}, False), ({"name": "nowhere"}, False), ({"port": 1}, True)],
)
def test_a_refused_login_is_one_line(database, tmp_path, change, passing):
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(LoadError, match=r"^[^\n]+$") as caught:
        replace(changed(database, **change), "public.trips", "x", open_rows(tmp_path / "a.parquet"))
    assert isinstance(caught.value, Unavailable) == passing
    assert "topsecret" not in str(caught.value)


def test_a_missing_schema(database, tmp_path):
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(LoadError, match=r'^[^\n]*schema "nowhere" does not exist[^\n]*$'):
        replace(database, "nowhere.trips", "x", open_rows(tmp_path / "a.parquet"))
