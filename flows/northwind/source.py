"""The first source: every table of the PostgreSQL database except order_details, which comes as a file."""

from collections.abc import Callable
from functools import partial

from psycopg import sql

import order_details
from copying import copy_out
from database import Database, identifiers
from errors import StepError
from files import Day
from tables import LEDGER, Table, tables_of


def extract(database: Database, files: Day, warn: Callable[[str], None]) -> dict[str, int]:
    """Write all tables as of one moment; returns the number of rows of each.

    `warn` receives a message for each table left out and each column that changes its type.
    """
    with (
        database.transaction(read_only=True) as connection,
        files.extraction("extract_postgres", str(database)) as writer,
    ):
        tables = [table for table in tables_of(connection) if table.name != order_details.TABLE.name]
        missing = {reference.table for reference in order_details.TABLE.references} - {table.name for table in tables}
        if missing:
            raise StepError(
                f"{database}: there is no table {' or '.join(sorted(missing))} in its schema public; check the address"
            )
        for table in tables:
            if reason := _reason_to_skip(table):
                warn(f"{database}: the table {table.name} is left out: {reason}")
                continue
            for column in table.columns:
                if column.instead_of:
                    where = f"{database}: {column.name} of the table {table.name}"
                    warn(f"{where} arrives as text: the type {column.instead_of} exists in that database only")
            writer.file(table, partial(copy_out, connection, _select(table)))
    return {file.table.name: file.rows for file in writer.files}


def _reason_to_skip(table: Table) -> str | None:
    if not table.columns:
        return "it has no columns"
    if table.name == LEDGER:
        return "the target has its own table of that name, with the loaded day"
    return None


def _select(table: Table) -> sql.Composable:
    # by column names, because COPY of a table leaves out generated columns, and fails for partitioned tables
    return sql.SQL("SELECT {} FROM {}").format(identifiers(table.column_names), sql.Identifier(table.name))
