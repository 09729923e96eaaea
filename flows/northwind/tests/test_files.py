"""A day's files appear together, count only when all are whole, and leave nothing behind."""

import threading
from datetime import date

import pytest

from errors import StepError
from files import Day
from tables import Column, Table

DAY = date(2026, 11, 19)


def table(name):
    return Table(name=name, columns=[Column(name="id", type="integer")])


@pytest.fixture
def day(tmp_path):
    return Day(tmp_path, DAY)


def writer(content):
    def write(file):
        file.write(content)
        if not content.endswith(b"\n"):
            raise OSError("disk full")
        return content.count(b"\n") - 1

    return write


def extract(day, **tables):
    with day.extraction("extract_postgres", "host/db") as writing:
        for name, content in tables.items():
            writing.file(table(name), writer(content))


def contents(day):
    return {str(path.relative_to(day.root)): path.read_bytes() for path in day.root.rglob("*.csv*")}


ORDERS = "postgres/orders/2026-11-19/orders.csv"
SHIPPERS = "postgres/shippers/2026-11-19/shippers.csv"


def test_one_folder_per_table_and_day(day):
    extract(day, orders=b"id\n1\n2\n", shippers=b"id\n")
    assert contents(day) == {ORDERS: b"id\n1\n2\n", SHIPPERS: b"id\n"}
    assert [(file.path, file.rows, file.bytes) for file in day.verified("extract_postgres")] == [
        (ORDERS, 2, 7),
        (SHIPPERS, 0, 3),
    ]


def test_nothing_is_replaced_before_all_files_are_complete(day):
    extract(day, orders=b"id\n1\n", shippers=b"id\n1\n")
    before = contents(day)
    with pytest.raises(OSError, match="disk full"):
        extract(day, orders=b"id\n2\n", shippers=b"id")
    assert contents(day) == before
    assert len(day.verified("extract_postgres")) == 2


def test_a_first_extraction_that_fails_leaves_nothing(day):
    with pytest.raises(OSError, match="disk full"):
        extract(day, orders=b"id\n2\n", shippers=b"id")
    assert contents(day) == {}
    assert not day.root.joinpath("postgres/orders").exists()
    assert day.manifest("extract_postgres") is None


def test_files_of_killed_runs_and_of_removed_tables_are_removed(day):
    extract(day, orders=b"id\n1\n", shippers=b"id\n1\n")
    other = Day(day.root, date(2026, 11, 18))
    extract(other, shippers=b"id\n1\n")
    day.root.joinpath(f"{SHIPPERS}.part").write_bytes(b"id\n")
    extract(day, orders=b"id\n2\n")
    assert contents(day) == {ORDERS: b"id\n2\n", "postgres/shippers/2026-11-18/shippers.csv": b"id\n1\n"}


@pytest.mark.parametrize("change", ["gone", "changed", "no manifest", "half a manifest"])
def test_missing_and_changed_files_are_refused(day, change):
    extract(day, orders=b"id\n1\n")
    file, manifest = day.root / ORDERS, day.root / "manifests/extract_postgres/2026-11-19.json"
    if change == "gone":
        file.unlink()
    elif change == "changed":
        file.write_bytes(b"id\n2\n")
    elif change == "no manifest":
        manifest.unlink()
    else:
        manifest.write_bytes(manifest.read_bytes()[:100])
    with pytest.raises(StepError, match=r'run \{"day": "2026-11-19", "steps": \["extract_postgres"\]\} first$'):
        day.verified("extract_postgres")


@pytest.mark.parametrize("name", ["..", "a/b", "../../x", "orders.csv", "Order Details", "çé\n"])
def test_any_name_of_a_table_is_a_file_below_the_root(day, name):
    extract(day, **{name: b"id\n1\n"})
    [file] = day.verified("extract_postgres")
    assert day.root.joinpath(file.path).resolve() == day.root / file.path
    assert file.path.count("/") == 3


def test_one_run_at_a_time(day):
    waits, entered = threading.Event(), threading.Event()

    def second():
        with day.lock(waiting=waits.set):
            entered.set()

    with day.lock(waiting=pytest.fail):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()
