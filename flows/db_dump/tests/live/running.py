"""A flow run in a process of its own, which a test may kill."""

# ruff: noqa: S608 - the queries are written here
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from prefect.settings import PREFECT_API_URL

PROJECT = Path(__file__).parents[2]
GATE = 20_261_120
# Reading waits at this order, one of the last of November 2025, while the test holds the gate
QUERY = f"SELECT *, CASE WHEN id = 4943 THEN pg_advisory_xact_lock_shared({GATE})::text END AS gate FROM orders"
MONTHLY = {
    "partition_columns": "ordered_at",
    "partition_date_format": "%Y-%m",
    "break_query_frequency": "month",
    "break_query_start": "2025-01-01",
    "break_query_end": "2026-06-30",
}


@contextmanager
def running(parameters, environment=None, **options):
    """The flow run, while the test looks on; killed at the end if it is still there."""
    command = [sys.executable, "-m", "flow", json.dumps(parameters)]
    variables = os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value()} | (environment or {})
    with subprocess.Popen(
        command, cwd=PROJECT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition, seconds=60):
    """Wait for the condition; returns its result."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.02)
    return result


def children(pid):
    """The processes this one has started, and those they have."""
    with suppress(FileNotFoundError):
        threads = Path(f"/proc/{pid}/task").iterdir()
        direct = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
        return direct + [grandchild for child in direct for grandchild in children(child)]
    return []


def alive(pid):
    return Path(f"/proc/{pid}").exists()


@contextmanager
def lock(connection, statement):
    """Hold a lock in a transaction."""
    with connection.transaction(force_rollback=True):
        connection.execute(statement)
        yield


def waiting(connection):
    """A session of the flow waits for a lock that the test holds."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'db_dump' AND wait_event_type = 'Lock'"
    # inside a transaction the first look would be every look
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return connection.execute(query).fetchall()


def published(table):
    """The rows of the published files."""
    manifest = table.published()
    return pa.Table.from_batches(table.read(manifest, manifest.chunks, manifest.schema), manifest.schema)


def unreferenced(folder):
    """The files in a table's folder that belong neither to the published version nor to the one before."""
    manifest = json.loads((folder / "manifest.json").read_text())
    version = f"versions/{manifest['version']}"
    referenced = {"manifest.json", ".lock"}
    referenced |= {file["path"] for chunk in manifest["chunks"] for file in chunk["files"]}
    referenced |= {f"{version}/chunks/{chunk['id']}.json" for chunk in manifest["chunks"]}
    existing = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {path for path in existing - referenced if not path.startswith(f"versions/{manifest['previous']}/")}
