"""Monthly files of taxi rides to a database: PostgreSQL from any address, BigQuery from Google Cloud Storage.

Alone, without a server: `python -m flow '{"year": 2024, "months": [1], "db_host": "127.0.0.1", "db_port": 15433}'`.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal, ParamSpec, TypeVar

from google.cloud.bigquery import Client
from prefect import Task, flow, get_run_logger, runtime, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff
from pydantic import Field

import bigquery
import postgres
from credentials import secret
from download import fetch, forget
from errors import FileError, LoadError, Unavailable
from months import Month, months_to_load
from postgres import AtLeast, Database
from redaction import shown
from rows import open_rows

Colour = Literal["yellow", "green", "fhv", "fhvhv"]
Year = Annotated[int, Field(ge=2009, le=9999)]
Months = Annotated[list[Annotated[int, Field(ge=1, le=12)]], Field(min_length=1)]
Table = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}\.[a-z_][a-z0-9_]{0,39}$")]

# the format tells `deploy.py check` that the value names a Secret block
SecretBlock = Annotated[str, Field(json_schema_extra={"format": "secret-block"})]

P = ParamSpec("P")
R = TypeVar("R")

NEW_YORK = "https://d37ci6vzurychx.cloudfront.net/trip-data/{colour}_tripdata_{year}-{month:02}.parquet"


@flow(name="files-to-database", flow_run_name="{colour}", validate_parameters=True)
def files_to_database(
    colour: Colour = "yellow",
    year: Year | None = None,
    months: Months | None = None,
    address: str = NEW_YORK,
    table: Table | None = None,
    db_host: str = "target-postgres",
    db_port: Annotated[int, Field(ge=1, le=65535)] = 5432,
    db_database: str = "warehouse",
    db_secret: SecretBlock = "target-postgres",  # noqa: S107 - a name, not a secret
    cache: str | None = None,
    min_share: Annotated[float, Field(ge=0, le=1)] = 0,
) -> None:
    """Load each month's file, all of it, in place of the table's rows of that month.

    Args:
        colour: Which taxis.
        year: The year; give year and months, or neither for the latest published month.
        months: Its months, 1 to 12.
        address: Where the files are, with {colour}, {year} and {month:02} in it: an http(s) address, or a path relative
            to the project's folder. Parquet, or CSV (.csv, .csv.gz) with a header line.
        table: The table, as schema.table; by default public.<colour>_trips. The flow makes a missing table, with the
            columns and types of the file, names in lower case, and a partition for each month, by `_month`.
        db_host: Name or address of the PostgreSQL server.
        db_port: Its port.
        db_database: The database.
        db_secret: Names the Prefect Secret block that holds the login, as JSON with user and password.
        cache: The folder of the downloaded files; by default the environment variable FILES_TO_DATABASE_CACHE,
            or else the folder `files_to_database` in the state directory of the service.
        min_share: Refuse a month that has fewer rows than this share of the rows of the month before, such as 0.5; by
            default any number is accepted.
    """
    requested = months_to_load(colour, year, months, address, today())
    login = secret(db_secret, "user", "password")
    database = Database(db_host, db_port, db_database, login["user"], login["password"])
    folder, table = Path(cache or default_cache()), table or f"public.{colour}_trips"
    counts = {}
    for month in requested:
        path = download(month, folder)
        counts[month] = load(month, path, folder, database, table, min_share)
    report(counts, table)


@flow(name="gcs-to-bigquery", flow_run_name="{colour}", validate_parameters=True)
def gcs_to_bigquery(
    address: Annotated[str, Field(pattern="^gs://")],
    table: Annotated[str, Field(pattern=r"^[^.$]+\.[^.$]+\.[^.$]+$")],
    colour: Colour = "yellow",
    year: Year | None = None,
    months: Months | None = None,
    bigquery_secret: SecretBlock = "google-bigquery",  # noqa: S107 - a name, not a secret
) -> None:
    """Load each month's file in place of that month's partition. Tested against a stand-in, not against Google.

    Args:
        address: Where the files are, with {colour}, {year} and {month:02} in it: gs://bucket/…, Parquet or CSV.
        table: The table, as project.dataset.table; BigQuery makes a missing table.
        colour: Which taxis.
        year: The year; give year and months, or neither for the latest published month.
        months: Its months, 1 to 12.
        bigquery_secret: Names the Prefect Secret block that holds the service account's key, the JSON of Google.
    """
    requested = months_to_load(colour, year, months, address, today())
    client = bigquery.connect(secret(bigquery_secret, "project_id"))
    report({month: load_partition(month, client, table) for month in requested}, table)


def retrying(task_run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a task of this name, retried when a server could not be reached."""
    return task(
        task_run_name=task_run_name,
        retries=3,
        retry_delay_seconds=exponential_backoff(5),
        retry_jitter_factor=0.5,
        retry_condition_fn=lambda task, run, state: isinstance(state.result(raise_on_failure=False), Unavailable),
        cache_policy=NO_CACHE,
    )


@retrying("download {month}")
def download(month: Month, cache: Path) -> Path:
    """The month's file on this machine."""
    path = fetch(month.address, cache, warn=get_run_logger().warning)
    get_run_logger().info("%s: %s, %s bytes", month, path.name, f"{path.stat().st_size:,}")
    return path


@retrying("load {month}")
def load(month: Month, path: Path, cache: Path, database: Database, table: str, min_share: float) -> int:
    """Replace the month's rows by those of the file; returns their number."""
    started = time.monotonic()
    try:
        at_least = AtLeast(min_share, str(month.before)) if min_share else None
        count = postgres.replace(database, table, str(month), open_rows(path), at_least)
    except FileError:
        forget(path, cache)
        raise
    get_run_logger().info("%s: %s rows in %s, %.1f s", month, f"{count:,}", table, time.monotonic() - started)
    return count


@retrying("load {month}")
def load_partition(month: Month, client: Client, table: str) -> int:
    """Have BigQuery replace the month's partition; returns the number of rows."""
    count = bigquery.replace(client, table, month)
    get_run_logger().info("%s: %s rows in %s", month, f"{count:,}", table)
    return count


def today() -> date:
    """The day for which the run was scheduled."""
    return (runtime.flow_run.scheduled_start_time or datetime.now(UTC)).date()


def default_cache() -> str:
    """The folder of downloaded files without the parameter cache."""
    if folder := os.environ.get("FILES_TO_DATABASE_CACHE"):
        return folder
    if state := os.environ.get("STATE_DIRECTORY"):
        return f"{state.partition(':')[0]}/files_to_database"
    raise LoadError("cache: no place for the downloads; give it, or set FILES_TO_DATABASE_CACHE in the environment")


def report(counts: dict[Month, int], table: str) -> None:
    """Show the loaded months as a table."""
    create_table_artifact(
        key="files-to-database-" + table.replace(".", "-").replace("_", "-").lower(),
        table=[{"month": str(month), "rows": rows, "file": shown(month.address)} for month, rows in counts.items()],
        description=f"Months loaded into {table}",
    )


if __name__ == "__main__":
    files_to_database(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
