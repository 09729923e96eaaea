"""Tables of a PostgreSQL database to Parquet files, one file per table.

Alone, without a server: `python -m flow '{"tables": ["orders"], "db_host": "localhost", "folder": "/tmp/dump"}'`.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, unmapped
from prefect.artifacts import create_table_artifact
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

import parquet
from credentials import secret
from database import connect, retrying

NAME = "{{ cookiecutter.__flow }}"

TableName = Annotated[str, Field(pattern=r"^\w+(\.\w+)?$")]


# Prefect's types reject its own task runners
@flow(name=NAME, task_runner=ThreadPoolTaskRunner(max_workers=2), validate_parameters=True)  # type: ignore[arg-type]
def dump(
    tables: Annotated[list[TableName], Field(min_length=1)],
    db_host: str = "source-postgres",
    db_port: int = 5432,
    db_database: str = "shop",
    folder: str | None = None,
) -> None:
    """Write each table to a file, two at a time; a table that fails does not stop the others.

    Args:
        tables: The tables, as table or schema.table.
        db_host: Name or address of the database server; the login is in the Prefect Secret block source-postgres.
        db_port: Its port.
        db_database: The database on that server.
        folder: Where the files go; by default a folder of the project's name in the worker's state directory.
    """
    source = {"host": db_host, "port": db_port, "dbname": db_database}
    place = Path(folder or default_folder())
    place.mkdir(parents=True, exist_ok=True)
    dumped = dump_table.map(sorted(set(tables)), unmapped(source), unmapped(place)).result()
    create_table_artifact(key=NAME, table=dumped, description=f"Tables of {db_host}/{db_database} in {place}")


@retrying("{table}")
def dump_table(table: str, source: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write a table to its file; returns a row for the artifact."""
    file, started = folder / f"{table}.parquet", time.monotonic()
    with connect(source | secret("source-postgres", "user", "password")) as connection:
        rows = parquet.dump(connection, table, file)
    get_run_logger().info("%s: %s rows in %.1f s", table, f"{rows:,}", time.monotonic() - started)
    return {"table": table, "rows": rows, "bytes": file.stat().st_size, "file": file.name}


def default_folder() -> str:
    """The only folder on a worker where a flow may write."""
    if state := os.environ.get("STATE_DIRECTORY"):
        return f"{state.partition(':')[0]}/{{ cookiecutter.project }}"
    raise ValueError("folder: no place for the files; give it as a parameter")


if __name__ == "__main__":
    dump(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
