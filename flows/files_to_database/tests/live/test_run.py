"""The whole flow as a process of its own, also one that is killed."""

# ruff: noqa: S608 - the queries are written here
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hostile import ENCODED, MARK, SECRET

PROJECT = Path(__file__).parents[2]
ROWS = 1_500_000


def parquet_bytes(rows):
    file = io.BytesIO()
    parquet.write_table(pa.table({"id": range(rows), "text": [f"ride {number}" for number in range(rows)]}), file)
    return file.getvalue()


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory):
    """The state of the servers that Prefect starts for the runs; making it anew takes long."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def start(database, table, web, tmp_path, prefect_home):
    """Start the flow in a process group of its own, for January of the taxis the web server has."""
    running = []

    def run(login=None, **parameters):
        parameters = {
            "year": 2024,
            "months": [1],
            "address": web.address + "/{colour}_{year}-{month:02}.parquet",
            "table": table,
            "db_host": database.host,
            "db_port": database.port,
            "db_database": database.name,
            "cache": str(tmp_path / "cache"),
        } | parameters
        secret = json.dumps(login or {"user": database.user, "password": database.password})
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "flow", json.dumps(parameters)],
                cwd=PROJECT,
                env=os.environ
                | {
                    "SECRET_TARGET_POSTGRES": secret,
                    "PREFECT_HOME": str(prefect_home),
                    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
                    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return running[-1]

    yield run
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(condition, process, limit=120):
    end = time.monotonic() + limit
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.05)


def test_a_run_killed_while_it_loads_leaves_the_old_rows_and_the_next_run_loads_the_new(start, web, table, sql):
    web.files["/yellow_2024-01.parquet"] = parquet_bytes(1000)
    first = start()
    output, _ = first.communicate(timeout=180)
    assert first.returncode == 0, output
    assert sql(f"SELECT count(*) FROM {table}") == [(1000,)]

    # the city publishes the month again, under another name
    web.files["/new/yellow_2024-01.parquet"] = parquet_bytes(ROWS)
    renewed = {"address": web.address + "/new/{colour}_{year}-{month:02}.parquet"}
    killed = start(**renewed)
    wait_for(lambda: sql("SELECT 1 FROM pg_stat_progress_copy WHERE tuples_processed > 0"), killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert sql(f"SELECT count(*) FROM {table}") == [(1000,)]

    again = start(**renewed)
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0, output
    assert sql(f"SELECT count(*), count(DISTINCT id), min(_month) FROM {table}") == [(ROWS, ROWS, "yellow/2024-01")]
    assert web.asked["/new/yellow_2024-01.parquet"] == 1


def test_an_unpublished_month_fails_the_run_in_one_line(start):
    process = start()
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    assert re.search(
        r"^errors\.LoadError: http://\S+/yellow_2024-01\.parquet: 404 Not Found; is the month published\? "
        "If so, correct address, colour, year or months$",
        output,
        re.MULTILINE,
    )


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        ("parquet", b"<html>please sign in</html>", r"\S+yellow_2024-01\.parquet cannot be read: .+"),
        (
            "csv",
            b"<html>please sign in</html>",
            r"\S+yellow_2024-01\.csv begins with <, as web pages and messages do.+",
        ),
    ],
)
def test_a_broken_download_is_not_kept(start, web, table, sql, tmp_path, ending, content, message):
    path = f"/yellow_2024-01.{ending}"
    web.files[path] = content
    address = {"address": web.address + "/{colour}_{year}-{month:02}." + ending}
    process = start(**address)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    assert re.search(rf"^errors\.FileError: {message}$", output, re.MULTILINE)
    assert [file for file in (tmp_path / "cache").iterdir() if file.suffix != ".lock"] == []
    assert sql(f"SELECT to_regclass('{table}')::text") == [(None,)]
    # the server is mended
    web.files[path] = parquet_bytes(10) if ending == "parquet" else b"id\n" + b"1\n" * 10
    process = start(**address)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert sql(f"SELECT count(*) FROM {table}") == [(10,)]


@pytest.mark.parametrize("failure", ["no braces", "not published", "another scheme", "wrong password", "no password"])
def test_no_log_of_a_run_shows_a_secret(start, web, monkeypatch, failure):
    login = f"me:{ENCODED.replace('%7B', '{{').replace('%7D', '}}')}@"
    place = {"no braces": "{color}.csv", "wrong password": "{colour}.csv", "no password": "{colour}.csv"}
    address = web.address.replace("http://", "ftp://" if failure == "another scheme" else "http://")
    web.files["/yellow.csv"] = b"id\n1\n"
    process = start(
        {"user": "loader", "password": {"no password": None}.get(failure, SECRET)},
        address=address.replace("//", f"//{login}") + f"/{place.get(failure, 'none.csv')}?sig={ENCODED}",
    )
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    assert "errors.LoadError: " in output
    assert MARK not in output
