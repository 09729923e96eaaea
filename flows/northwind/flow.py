"""Two sources to one database: PostgreSQL and a CSV file → files of the day → a second PostgreSQL → a report.

Alone, without a server: `python -m flow '{"day": "2026-11-19", "steps": ["load", "report"], "root": "/tmp/nw"}'`.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Literal, ParamSpec

from prefect import Task, flow, get_run_logger, runtime, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff
from pydantic import Field

import order_details
import source
import target
from credentials import login
from database import Database
from errors import StepError, Unavailable, one_line
from files import Day
from redaction import redacted

# the format tells `deploy.py check` that the value names a Secret block
SecretBlock = Annotated[str, Field(json_schema_extra={"format": "secret-block"})]
Step = Literal["extract_postgres", "extract_csv", "load", "report"]
Counts = dict[str, int]
P = ParamSpec("P")


@flow(name="northwind", validate_parameters=True)
def northwind(
    day: date | None = None,
    steps: Annotated[list[Step], Field(min_length=1)] | None = None,
    order_details_csv: str = "sample/order_details.csv",
    source_address: str = "postgresql://source-postgres/northwind",
    source_login: SecretBlock = "source-postgres",
    target_address: str = "postgresql://target-postgres/warehouse",
    target_login: SecretBlock = "target-postgres",
    root: str | None = None,
) -> None:
    """Extract both sources, load them into the target, and write the orders with their details to a file.

    Args:
        day: The day whose files to write or load, today (UTC) or a past day; by default the day for which the run was
            scheduled. The sources keep no history: an extraction for a past day writes their present rows. The target
            holds the day that was loaded last.
        steps: Which steps to run, always in the order of the list above; by default all of them.
        order_details_csv: Path or URL of the details of the orders; a relative path begins in the project's folder.
        source_address: Where the orders are, without the login: postgresql://host[:port]/database.
        source_login: Names the Prefect Secret block that holds the login, as JSON with user and password.
        target_address: Where the target is, in the same form.
        target_login: Names the Secret block with the target's login.
        root: The folder of the files; by default the environment variable NORTHWIND_ROOT, or else the folder
            `northwind` in the state directory of the service.
    """
    log = get_run_logger()
    files = Day(Path(root or default_root()).absolute(), day_of_run(day))
    counts: dict[Step, Counts] = {}
    with files.lock(waiting=lambda: log.info("Another run is writing to %s: waiting until it ends", files.root)):
        if not steps or "extract_postgres" in steps:
            counts["extract_postgres"] = extract_postgres(files, source_address, source_login)
        if not steps or "extract_csv" in steps:
            counts["extract_csv"] = extract_csv(files, order_details_csv)
        if not steps or "load" in steps:
            counts["load"] = load(files, target_address, target_login)
        if not steps or "report" in steps:
            counts["report"] = report(files, target_address, target_login)
    summarise(files, counts)


def step(function: Callable[P, Counts]) -> Task[P, Counts]:
    """A task whose errors are one line that begins with its name; retried when a server could not be reached."""
    name = function.__name__

    @wraps(function)
    def run_step(*args: P.args, **kwargs: P.kwargs) -> Counts:
        try:
            rows = function(*args, **kwargs)
        except Unavailable as error:
            raise Unavailable(f"{name}: {error}") from error
        except Exception as error:
            raise StepError(f"{name}: {redacted(one_line(error))}") from error
        get_run_logger().info("%s: %s rows", name, f"{sum(rows.values()):,}")
        return rows

    return task(
        task_run_name=f"{name} {{files.day}}",
        cache_policy=NO_CACHE,
        retries=2,
        retry_delay_seconds=exponential_backoff(10),
        retry_condition_fn=lambda task, run, state: isinstance(state.result(raise_on_failure=False), Unavailable),
    )(run_step)


@step
def extract_postgres(files: Day, address: str, secret: str) -> Counts:
    """Every table except order_details to files, as of one moment."""
    return source.extract(Database(address, *login(secret)), files, get_run_logger().warning)


@step
def extract_csv(files: Day, address: str) -> Counts:
    """The details of the orders to a file, each line checked."""
    return order_details.extract(address, files, get_run_logger().warning)


@step
def load(files: Day, address: str, secret: str) -> Counts:
    """The day's files into the target, in one transaction."""
    return target.load(Database(address, *login(secret)), files)


@step
def report(files: Day, address: str, secret: str) -> Counts:
    """The orders with their details to a file."""
    return {files.report.stem: target.report(Database(address, *login(secret)), files)}


def day_of_run(day: date | None) -> date:
    """The day, by default that of the run. Raises ValueError for a day in the future."""
    today = datetime.now(UTC).date()
    if day and day > today:
        raise ValueError(f"day: {day} is in the future; give today or a past day (today is {today} in UTC)")
    return day or (runtime.flow_run.scheduled_start_time or datetime.now(UTC)).date()


def default_root() -> str:
    """The root of the files without the parameter root."""
    if root := os.environ.get("NORTHWIND_ROOT"):
        return root
    if state := os.environ.get("STATE_DIRECTORY"):
        return f"{state.partition(':')[0]}/northwind"
    raise ValueError("root: no place for the files; give it, or set NORTHWIND_ROOT in the environment")


def summarise(files: Day, counts: dict[Step, Counts]) -> None:
    """Show the rows of each table after each step."""
    tables = sorted({table for rows in counts.values() for table in rows})
    create_table_artifact(
        key="northwind",
        table=[{"table": table} | {step: rows.get(table) for step, rows in counts.items()} for table in tables],
        description=f"Rows of {files.day}, in {files.root}",
    )


if __name__ == "__main__":
    northwind(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
