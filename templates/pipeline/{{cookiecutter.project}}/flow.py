"""Orders of one day: from the shop's PostgreSQL into the warehouse, and there into a table of the day's sales.

Alone, without a server: `python -m flow '{"day": "2026-06-30", "db_host": "localhost"}'`.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact

from credentials import secret
from database import connect, retrying

NAME = "{{ cookiecutter.__flow }}"
SQL = {file.stem: file.read_text() for file in Path(__file__).parent.glob("sql/*.sql")}


@flow(name=NAME, validate_parameters=True)
def pipeline(
    day: date | None = None, db_host: str = "source-postgres", db_port: int = 5432, db_database: str = "shop"
) -> None:
    """Load the day's orders and sum them up. Rows of an earlier load of the day are replaced.

    Args:
        day: The day, in UTC; by default the day before the scheduled start of the run.
        db_host: Name or address of the source; its login is in the Prefect Secret block source-postgres.
        db_port: Its port.
        db_database: The database on that server.
    """
    day = day or yesterday()
    load(day, {"host": db_host, "port": db_port, "dbname": db_database})
    report(day, transform(day))


@retrying("load {day}")
def load(day: date, source: dict[str, Any]) -> None:
    """Stream the day's orders into the staging table: only a few rows are in memory at a time."""
    with connect(source | secret("source-postgres", "user", "password")) as shop, warehouse() as target:
        target.execute("DELETE FROM staging_orders WHERE day = %s", [day])
        cursor = target.cursor()
        with (
            shop.cursor().copy(SQL["extract"], {"day": day}) as rows,
            cursor.copy("COPY staging_orders FROM STDIN") as staging,
        ):
            for row in rows:
                staging.write(row)
    get_run_logger().info("%s: %s orders", day, f"{cursor.rowcount:,}")


@retrying("transform {day}")
def transform(day: date) -> list[tuple[Any, ...]]:
    """The day's sales. Readers see the old sales until the new ones have passed the check."""
    with warehouse() as target:
        target.execute(SQL["transform"], {"day": day})
        for staged, counted in target.execute(SQL["check"], {"day": day}):
            raise ValueError(f"{day}: {staged} orders were loaded, daily_sales counts {counted}: see sql/transform.sql")
        return target.execute(SQL["report"], {"day": day}).fetchall()


@contextmanager
def warehouse() -> Iterator[psycopg.Connection[Any]]:
    """A transaction in the project's own schema; a second one waits for the first."""
    with connect(secret("target-postgres", "host", "dbname", "user", "password")) as target:
        target.execute(SQL["schema"])
        yield target


def report(day: date, sales: list[tuple[Any, ...]]) -> None:
    """The day's sales as a table."""
    lines = [f"| {status} | {orders:,} | {total:,} |" for status, orders, total in sales]
    table = "\n".join(["| status | orders | total |", "|---|---:|---:|", *lines])
    create_markdown_artifact(f"# Sales of {day}\n\n{table}\n", key=NAME)


def yesterday() -> date:
    """The day before the run."""
    return (runtime.flow_run.scheduled_start_time or datetime.now(UTC)).date() - timedelta(days=1)


if __name__ == "__main__":
    pipeline(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
