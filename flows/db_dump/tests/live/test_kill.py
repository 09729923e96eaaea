"""Killed at any moment, a run is mended by running it again: nothing lost, nothing double, nothing left over."""

import json
import os
import signal

import pyarrow.compute as pc
import pytest
from running import GATE, alive, children, lock, published, running, unreferenced, until, waiting

pytestmark = pytest.mark.usefixtures("server")


def finish(parameters):
    with running(parameters) as process:
        output = process.communicate()[0]
    assert process.returncode == 0, output


def kill(process):
    """Kill the run as it is; what it has started ends with it."""
    started = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until(lambda: not any(alive(pid) for pid in started))
    return started


def check_all_is_there(table, folder, warehouse, shop):
    """Counts and sums as in the source, and nothing besides."""
    expected = shop.execute("SELECT count(*), sum(id), sum(total) FROM orders").fetchone()
    rows = published(table)
    assert (rows.num_rows, pc.sum(rows["id"]).as_py(), pc.sum(rows["total"]).as_py()) == expected
    loaded = warehouse.execute("SELECT count(*), sum(id), sum(total) FROM db_dump_test.orders").fetchone()
    assert loaded == expected
    tables = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'db_dump_test'::regnamespace AND relkind = 'r' ORDER BY 1"
    )
    assert warehouse.execute(tables).fetchall() == [("_db_dump_chunks",), ("orders",)]
    assert unreferenced(folder) == set()


@pytest.mark.parametrize("max_concurrency", [1, 2])
@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_killed_while_a_piece_is_read(run, table, tmp_path, shop, warehouse, mode, max_concurrency):
    folder = tmp_path / "db_dump_test" / "orders"
    run |= {"dump_mode": mode, "max_concurrency": max_concurrency}
    with lock(shop, f"SELECT pg_advisory_xact_lock({GATE})"), running(run) as process:
        until(
            lambda: (
                waiting(shop) and list(folder.rglob("*.part")) and len(list(folder.glob("versions/*/chunks/*"))) >= 10
            )
        )
        started = kill(process)
    assert len(started) >= (2 if max_concurrency > 1 else 0)
    assert table.published() is None
    whole = {path.name: json.loads(path.read_text()) for path in folder.glob("versions/*/chunks/*")}
    assert 10 <= len(whole) < 18

    finish(run)
    check_all_is_there(table, folder, warehouse, shop)
    chunks = {f"{chunk.id}.json": chunk for chunk in table.published().chunks}
    assert len(chunks) == 18
    again = {name for name, chunk in chunks.items() if chunk.extracted_at != whole.get(name, {}).get("extracted_at")}
    assert again == chunks.keys() - whole.keys()


@pytest.mark.parametrize(
    ("mode", "held"),
    [
        # the load waits with all rows in its transaction: for the old table to be free, and to write the ledger
        ("overwrite", "LOCK TABLE db_dump_test.orders IN ACCESS SHARE MODE"),
        ("append", "LOCK TABLE db_dump_test._db_dump_chunks IN SHARE MODE"),
    ],
)
def test_killed_while_it_loads(run, table, tmp_path, shop, warehouse, mode, held):
    before = run | {"dump_mode": mode, "break_query_end": "2025-06-30"}
    finish(before)
    rows = warehouse.execute("SELECT count(*), sum(id) FROM db_dump_test.orders").fetchall()
    run |= {"dump_mode": mode}
    older = table.published()
    with lock(warehouse, held), running(run) as process:
        # the check before reading does not wait for it
        until(lambda: table.published() != older and waiting(warehouse))
        kill(process)
        assert warehouse.execute("SELECT count(*), sum(id) FROM db_dump_test.orders").fetchall() == rows
    sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = 'db_dump'"
    until(lambda: not warehouse.execute(sessions).fetchall())
    assert warehouse.execute("SELECT count(*), sum(id) FROM db_dump_test.orders").fetchall() == rows
    read = {chunk.id: chunk.extracted_at for chunk in table.published().chunks}

    finish(run)
    check_all_is_there(table, tmp_path / "db_dump_test" / "orders", warehouse, shop)
    if mode == "append":
        assert {chunk.id: chunk.extracted_at for chunk in table.published().chunks} == read
