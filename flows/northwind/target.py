"""The second PostgreSQL: its tables hold the rows of the day that was loaded last, whichever day that is."""

from pathlib import Path

import psycopg
from psycopg import sql

from copying import copy_in, copy_out
from database import Database
from errors import StepError
from files import Day, File, whole_file
from tables import create, tables_of

# Which day the tables hold, and which tables those are
LOADED = """
CREATE TABLE northwind_loaded (day date NOT NULL, loaded_at timestamptz NOT NULL DEFAULT now(), tables text[] NOT NULL)
"""
ORDERS_AND_DETAILS = Path(__file__).with_name("orders_and_details.sql")


def load(database: Database, files: Day) -> dict[str, int]:
    """Put the rows of both extractions in the place of those that are there; returns the rows of each table.

    Readers see the old day until the new one is whole: rows are deleted, because TRUNCATE would show empty tables to
    those who began to read before.
    """
    extracted = [*files.verified("extract_postgres"), *files.verified("extract_csv")]
    names = {file.table.name for file in extracted}
    with database.transaction(read_only=False) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('northwind'))")
        existing = _prepare(connection, database, extracted)
        before = {name for (name,) in connection.execute("SELECT unnest(tables) FROM northwind_loaded")}
        # a table that the loaded day does not have is left empty
        for name in sorted(names | before & existing):
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
        for file in extracted:
            with (files.root / file.path).open("rb") as content:
                rows = copy_in(connection, file.table, content)
            if rows != file.rows:
                raise StepError(f"{database}: {rows} rows came to {file.table.name}, {file.rows} were extracted")
        connection.execute("DELETE FROM northwind_loaded")
        connection.execute("INSERT INTO northwind_loaded (day, tables) VALUES (%s, %s)", [files.day, sorted(names)])
    return {file.table.name: file.rows for file in extracted}


def _prepare(connection: psycopg.Connection, database: Database, extracted: list[File]) -> set[str]:
    """Make the tables that are missing, refuse those that the rows do not fit; returns those that were there."""
    existing = {table.name: table for table in tables_of(connection)}
    if "northwind_loaded" not in existing:
        connection.execute(LOADED)
    create(connection, [file.table for file in extracted if file.table.name not in existing])
    for table in [file.table for file in extracted if file.table.name in existing]:
        if differing := dict(table.types.items() ^ existing[table.name].types.items()):
            raise StepError(
                f"{database}: {', '.join(sorted(differing))} of the table {table.name} are not there or of other types "
                "than extracted; alter the table, or drop it and it is made anew"
            )
    return set(existing)


def report(database: Database, files: Day) -> int:
    """Write the orders with their details to a file; returns the number of rows."""
    with database.transaction(read_only=True) as connection:
        loaded = None
        if connection.execute("SELECT to_regclass('northwind_loaded')").fetchone()[0]:
            loaded = connection.execute("SELECT day FROM northwind_loaded").fetchone()
        if loaded != (files.day,):
            raise StepError(
                f"{database} holds {loaded[0] if loaded else 'nothing yet'}, not {files.day}; {files.again('load')}"
            )
        [details] = connection.execute("SELECT count(*) FROM order_details").fetchone()
        with whole_file(files.report, "wb") as file:
            rows = copy_out(connection, sql.SQL(ORDERS_AND_DETAILS.read_text()), file)
            if rows != details:
                raise StepError(
                    f"{database}: the report has {rows} rows for {details} details of orders; load the day again"
                )
    return rows
