"""What goes wrong ends the run as Failed, tells the cause in one line, and leaves files and table as they were."""

import json
import os
import resource

import pytest
from running import lock, running, unreferenced, until, waiting

from flow import db_dump

pytestmark = pytest.mark.usefixtures("server")

HALF_OF_2025 = {"break_query_end": "2025-06-30", "execute_query": "SELECT * FROM orders", "batch_size": 50_000}


@pytest.fixture
def before(run, tmp_path, warehouse):
    """The first months are dumped and loaded; afterwards all must be as it was then."""
    db_dump(**run | HALF_OF_2025)
    folder = tmp_path / "db_dump_test" / "orders"

    def state():
        published = (folder / "manifest.json").read_bytes()
        files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
        tables = "SELECT relname FROM pg_class WHERE relnamespace = 'db_dump_test'::regnamespace AND relkind = 'r'"
        rows = "SELECT count(*), sum(id), max(loaded_at) FROM db_dump_test.orders, db_dump_test._db_dump_chunks"
        return published, files, set(warehouse.execute(tables)), warehouse.execute(rows).fetchall()

    expected = state()
    yield
    after = state()
    assert (after[0], after[2:]) == (expected[0], expected[2:])
    # pieces that are whole stay for the next run; what was there before stays in any case
    assert expected[1].items() <= after[1].items()
    assert not list(folder.rglob("*.part"))


def failure(parameters):
    """The message the run fails with."""
    state = db_dump(**parameters | {"retry_dump_upload_attempts": 0}, return_state=True)
    assert state.is_failed()
    error = state.result(raise_on_failure=False)
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.usefixtures("before")
class TestNothingIsChanged:
    def test_a_missing_table(self, run):
        assert "nowhere" in failure(run | {"execute_query": "SELECT * FROM nowhere"})

    @pytest.mark.parametrize("secret", ["SECRET_SOURCE_POSTGRES", "SECRET_TARGET"])
    def test_a_wrong_password(self, run, monkeypatch, secret):
        value = json.loads(os.environ[secret])
        monkeypatch.setenv(secret, json.dumps(value | {"password": "wrong"}))
        message = failure(run)
        assert "password authentication failed" in message

    def test_the_source_disconnects_in_the_middle(self, run):
        cut = "SELECT *, CASE WHEN id = 4943 THEN pg_terminate_backend(pg_backend_pid()) END AS cut FROM orders"
        assert "1 of 18 pieces failed, the others are kept for the next run; 2025-11-01_2025-12-01: " in failure(
            run | {"execute_query": cut}
        )

    def test_an_unreachable_target(self, run, monkeypatch, target_login):
        monkeypatch.setenv("SECRET_TARGET", json.dumps(target_login | {"port": 1}))
        assert "Connection refused" in failure(run)

    def test_columns_that_do_not_fit_the_target(self, run):
        query = "SELECT id, id::text AS total, ordered_at, status, customer_id, note FROM orders"
        message = failure(run | {"execute_query": query})
        assert "column total was decimal128(12, 2) and is string now" in message

    def test_a_full_disk(self, run):
        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        whole = run | {"break_query_frequency": None, "break_query_start": None, "break_query_end": None}
        whole |= {"execute_query": "SELECT * FROM orders", "partition_columns": None}
        with running(whole, preexec_fn=small_files) as process:
            output = process.communicate()[0]
        assert process.returncode == 1
        causes = {line for line in output.splitlines() if line.startswith("RuntimeError: ")}
        assert len(causes) == 1
        assert "db_dump_test/orders: no room for the files (File too large); make room, and run again" in causes.pop()


def test_a_load_is_retried_after_the_target_disconnects(run, tmp_path, warehouse):
    """The load waits for the ledger, with all rows in its transaction; there it loses its connection."""
    db_dump(**run | HALF_OF_2025)
    run |= HALF_OF_2025 | {"break_query_end": "2025-07-31", "dump_mode": "append", "retry_dump_upload_attempts": 1}
    manifest = tmp_path / "db_dump_test/orders/manifest.json"
    before = manifest.read_bytes()
    with running(run) as process:
        with lock(warehouse, "LOCK TABLE db_dump_test._db_dump_chunks IN SHARE MODE"):
            # the check before reading does not wait for it
            [(session,)] = until(lambda: manifest.read_bytes() != before and waiting(warehouse))
            warehouse.execute("SELECT pg_terminate_backend(%s)", [session])
        output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "Retry 1/1 will start" in output
    assert "terminating connection due to administrator command" in output
    [(rows, ids)] = warehouse.execute("SELECT count(*), count(DISTINCT id) FROM db_dump_test.orders").fetchall()
    assert rows == ids == json.loads(manifest.read_text())["rows"]
    assert unreferenced(tmp_path / "db_dump_test" / "orders") == set()
