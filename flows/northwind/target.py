"""The second PostgreSQL: its tables hold the rows of the day that was loaded last."""

from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from copying import copy_in, copy_out
from database import Database
from errors import StepError
from files import Day, File, complete_file
from tables import create, tables_of

# The loaded day, and its tables
LOADED = """
CREATE TABLE northwind_loaded (day date NOT NULL, loaded_at timestamptz NOT NULL DEFAULT now(), tables text[] NOT NULL)
"""
ORDERS_AND_DETAILS = Path(__file__).with_name("orders_and_details.sql")


def load(database: Database, files: Day) -> dict[str, int]:
    """Replace the target's rows by those of both extractions; returns the number of rows of each table.

    Readers see the old day until the new day is complete. Rows are deleted, because TRUNCATE would show empty tables to
    transactions that began earlier.
    """
    extracted = [*files.verified("extract_postgres"), *files.verified("extract_csv")]
    names = {file.table.name for file in extracted}
    with database.transaction(read_only=False) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('northwind'))")
        existing = _prepare(connection, database, extracted)
        loaded_before = {name for (name,) in connection.execute("SELECT unnest(tables) FROM northwind_loaded")}
        # a table that this day does not have becomes empty
        for name in sorted(names | loaded_before & existing):
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
        for file in extracted:
            with (files.root / file.path).open("rb") as content:
                rows = copy_in(connection, file.table, content)
            if rows != file.rows:
                raise StepError(f"{database}: {rows} rows came to {file.table.name}, {file.rows} were extracted")
        connection.execute("DELETE FROM northwind_loaded")
        connection.execute("INSERT INTO northwind_loaded (day, tables) VALUES (%s, %s)", [files.day, sorted(names)])
    return {file.table.name: file.rows for file in extracted}


def _prepare(connection: psycopg.Connection[Any], database: Database, extracted: list[File]) -> set[str]:
    """Make missing tables; returns the names of those that existed. Raises StepError for a table of other columns."""
    existing = {table.name: table for table in tables_of(connection)}
    if "northwind_loaded" not in existing:
        connection.execute(LOADED)
    create(connection, [file.table for file in extracted if file.table.name not in existing])
    for table in [file.table for file in extracted if file.table.name in existing]:
        if differing := dict(table.types.items() ^ existing[table.name].types.items()):
            raise StepError(
                f"{database}: {', '.join(sorted(differing))} of the table {table.name} are missing or of other types "
                "than extracted; alter the table, or drop it, and the load makes it again"
            )
    return set(existing)


def report(database: Database, files: Day) -> int:
    """Write the orders with their details to a file; returns the number of rows."""
    with database.transaction(read_only=True) as connection:
        loaded_day = _loaded_day(connection)
        if loaded_day != files.day:
            raise StepError(f"{database} holds {loaded_day or 'nothing yet'}, not {files.day}; {files.advice('load')}")
        [(details,)] = connection.execute("SELECT count(*) FROM order_details").fetchall()
        with complete_file(files.report) as file:
            rows = copy_out(connection, sql.SQL(ORDERS_AND_DETAILS.read_text()), file)
            if rows != details:
                raise StepError(
                    f"{database}: the report has {rows} rows for {details} details of orders; load the day again"
                )
    return rows


def _loaded_day(connection: psycopg.Connection[Any]) -> date | None:
    """The day whose rows the tables hold; None before the first load."""
    [(table,)] = connection.execute("SELECT to_regclass('northwind_loaded')").fetchall()
    days = connection.execute("SELECT day FROM northwind_loaded").fetchall() if table else []
    return days[0][0] if days else None
