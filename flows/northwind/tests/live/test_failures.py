"""Whatever goes wrong names its step, and leaves the target as it was; running again mends it."""

import json
import os
import subprocess
import threading
import time
from contextlib import contextmanager
from datetime import date

import pytest
from databases import connect, contents, execute
from hostile import ENCODED, MARK, SECRET

import flow
import order_details
import source
from errors import StepError, Unavailable
from files import Day
from target import load


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            pytest.fail("the condition did not become true")
        time.sleep(0.05)
    return result


def waiting(database):
    """Process ids of the flow's sessions that wait for a lock."""
    with connect(database) as connection:
        query = """
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'northwind' AND wait_event_type = 'Lock'"""
        return [pid for (pid,) in connection.execute(query)]


@contextmanager
def locked(database, table):
    """Nobody else gets at the table; takes the lock away at the end."""
    with connect(database) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield connection


@contextmanager
def cut(database, table):
    """The session that comes to the table is ended by the server, once."""

    def terminate():
        with locked(database, table), connect(database) as connection:
            ready.set()
            [pid] = until(lambda: waiting(database))
            connection.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

    ready = threading.Event()
    thread = threading.Thread(target=terminate)
    thread.start()
    assert ready.wait(30)
    yield
    thread.join()


def kill_at(run, database, table, **parameters):
    """Run the flow in a process of its own, and kill it when it comes to the table."""
    text = json.dumps(run.parameters | parameters)
    with locked(database, table):
        process = subprocess.Popen(
            [*run.command, text], env=os.environ | run.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda: waiting(database) or process.poll() is not None)
        process.kill()
        assert process.wait() == -9
    until(lambda: not sessions(database))


def sessions(database):
    with connect(database) as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'northwind'"
        return connection.execute(query).fetchall()


@pytest.fixture
def before(run, shop, target):
    """What the target holds after a day that went well; the shop has changed since."""
    day = Day(run.root, date(2026, 11, 18))
    source.extract(shop, day, warn=pytest.fail)
    order_details.extract(str(run.details), day, warn=pytest.fail)
    load(target, day)
    execute(shop, "DELETE FROM one_column; UPDATE orders SET note = 'new'; INSERT INTO nothing VALUES (1)")
    return contents(target)


def test_killed_while_it_loads(run, shop, target, before):
    # the tables before it are emptied by then
    kill_at(run, target, "shippers")
    assert contents(target) == before
    run.go(steps=["load", "report"])
    after = contents(target)
    del after["order_details"]
    assert after == contents(shop)
    assert after["one_column"] == []
    assert list(run.root.rglob("*.part")) == []


def test_killed_while_it_extracts(run, shop, target, before):
    kill_at(run, shop, "shippers")
    assert list(run.root.rglob("*.part"))
    with pytest.raises(StepError, match="load: extract_postgres has not succeeded for 2026-11-19"):
        run.go(steps=["extract_csv", "load"])
    assert contents(target) == before
    run.go()
    after = contents(target)
    del after["order_details"]
    assert after == contents(shop)
    assert list(run.root.rglob("*.part")) == []


@pytest.mark.parametrize(
    ("finished", "missing"), [("extract_postgres", "extract_csv"), ("extract_csv", "extract_postgres")]
)
def test_both_extractions_are_needed(run, target, before, finished, missing):
    message = rf'^load: {missing} has not succeeded for 2026-11-19; run \{{"day": "2026-11-19", "steps": \["{missing}"'
    with pytest.raises(StepError, match=message):
        run.go(steps=[finished, "load"])
    assert contents(target) == before


def test_a_changed_file(run, target, before):
    run.go(steps=["extract_postgres", "extract_csv"])
    file = run.root / "postgres/orders/2026-11-19/orders.csv"
    file.write_bytes(file.read_bytes().replace(b"VINET", b"TOMSP"))
    with pytest.raises(StepError, match=r"^load: .*orders\.csv is not the file that extract_postgres wrote; run"):
        run.go(steps=["load"])
    assert contents(target) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"details\.csv cannot be read \(No such file"),
        ("1,1,9.8\n", r"details\.csv, line 2: 3 values; there must be 5"),
    ],
)
def test_a_missing_or_malformed_csv(run, target, before, content, message):
    run.details.unlink()
    if content:
        run.details.write_text("order_id,product_id,unit_price,quantity,discount\n" + content)
    with pytest.raises(StepError, match=f"^extract_csv: .*{message}"):
        run.go()
    assert contents(target) == before


def test_details_of_a_missing_order(run, target, before):
    run.details.write_text("order_id,product_id,unit_price,quantity,discount\n99,1,9.8,1,0\n")
    with pytest.raises(
        StepError, match=r'^load: .*order_details.*Key \(order_id\)=\(99\) is not present in table "orders"'
    ):
        run.go()
    assert contents(target) == before


def test_a_table_without_the_right_to_read(run, shop, target, before):
    execute(shop, "REVOKE SELECT ON egg FROM CURRENT_USER")
    with pytest.raises(
        StepError, match=rf"^extract_postgres: .*permission denied for table egg; grant it to {shop.user}"
    ):
        run.go()
    assert contents(target) == before
    assert not (run.root / "postgres/orders/2026-11-19").exists()


def test_a_table_without_the_right_to_write(run, target, before):
    execute(target, "REVOKE INSERT ON shippers FROM CURRENT_USER")
    with pytest.raises(StepError, match=r"^load: .*permission denied for table shippers; grant it to"):
        run.go()
    assert contents(target) == before


def test_a_source_that_is_the_wrong_database(run, new_database, target, before):
    run.to(new_database("CREATE TABLE products (product_id int)"), target)
    with pytest.raises(StepError, match=r"^extract_postgres: .*there is no table orders in its schema public"):
        run.go()
    assert contents(target) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ALTER TABLE orders ADD COLUMN colour text", "colour of the table orders"),
        ("ALTER TABLE orders ALTER COLUMN freight TYPE numeric", "freight of the table orders"),
        ("ALTER TABLE orders DROP COLUMN note", "note of the table orders"),
    ],
)
def test_a_table_that_has_changed(run, shop, target, before, change, message):
    execute(shop, change)
    with pytest.raises(StepError, match=rf"^load: .*{message} are missing or of other types.*drop it"):
        run.go()
    assert contents(target) == before


@pytest.mark.parametrize(("database", "step"), [("source", "extract_postgres"), ("target", "load")])
def test_a_wrong_password(run, target, before, monkeypatch, caplog, database, step):
    monkeypatch.setenv(f"SECRET_{database.upper()}", '{"user": "loader", "password": "hunter2"}')
    with pytest.raises(
        Unavailable, match=rf"^{step}: .*password authentication failed.*check the address, and the secret"
    ):
        run.go()
    assert contents(target) == before
    assert "password authentication failed" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_source_disconnects(run, shop, target, before):
    with cut(shop, "shippers"), pytest.raises(Unavailable, match=r"^extract_postgres: .*terminating connection"):
        run.go()
    assert contents(target) == before
    assert not (run.root / "postgres/orders/2026-11-19").exists()


def test_the_target_disconnects(run, target, before):
    with cut(target, "shippers"), pytest.raises(Unavailable, match=r"^load: .*terminating connection"):
        run.go()
    assert contents(target) == before


def test_steps_are_retried_after_a_disconnect(run, shop, target, before, monkeypatch):
    for step in (flow.extract_postgres, flow.load):
        monkeypatch.setattr(step, "retries", 1)
        monkeypatch.setattr(step, "retry_delay_seconds", 0)
    with cut(shop, "shippers"), cut(target, "orders"):
        run.go()
    after = contents(target)
    del after["order_details"]
    assert after == contents(shop)


def test_the_state_of_the_run_names_the_step(run):
    state = flow.northwind(**run.parameters | {"steps": ["load"]}, return_state=True)
    assert state.is_failed()
    assert "load: extract_postgres has not succeeded for 2026-11-19" in state.message


@pytest.mark.parametrize("failure", ["source login", "target login", "no password", "file", "address", "scheme"])
def test_no_log_and_no_state_of_a_run_shows_a_secret(run, before, monkeypatch, caplog, capfd, failure):
    parameters = {
        "file": {"order_details_csv": f"http://me:{ENCODED}@127.0.0.1:1/a.csv?sig={ENCODED}"},
        "scheme": {"order_details_csv": f"ftp://me:{SECRET}@127.0.0.1/a.csv?sig={SECRET}"},
        "address": {"source_address": f"postgresql://me:{ENCODED}@127.0.0.1:1/db"},
    }
    place = "TARGET" if failure == "target login" else "SOURCE"
    if failure.endswith("login") or failure == "no password":
        password = None if failure == "no password" else SECRET
        monkeypatch.setenv(f"SECRET_{place}", json.dumps({"user": "loader", "password": password}))
    state = flow.northwind(**run.parameters | parameters.get(failure, {}), return_state=True)
    assert state.is_failed()
    output = capfd.readouterr()
    assert MARK not in f"{state.message} {caplog.text} {output.out} {output.err}"
