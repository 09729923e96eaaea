"""The first source: every table of the PostgreSQL database but the details of the orders, which come as a file."""

from functools import partial

from psycopg import sql

import order_details
from copying import copy_out
from database import Database, identifiers
from errors import StepError
from files import Day
from tables import Table, tables_of


def extract(database: Database, files: Day) -> dict[str, int]:
    """Write all tables of one moment; returns their rows."""
    with (
        database.transaction(read_only=True) as connection,
        files.extraction("extract_postgres", str(database)) as writing,
    ):
        tables = [table for table in tables_of(connection) if table.name != order_details.TABLE.name]
        missing = {reference.table for reference in order_details.TABLE.references} - {table.name for table in tables}
        if missing:
            raise StepError(
                f"{database}: there is no table {' or '.join(sorted(missing))} in its schema public; check the address"
            )
        for table in tables:
            writing.file(table, partial(copy_out, connection, _select(table)))
    return {file.table.name: file.rows for file in writing.files}


def _select(table: Table) -> sql.Composable:
    # by name, because COPY of a table leaves out generated columns, and of a partitioned one refuses
    return sql.SQL("SELECT {} FROM {}").format(identifiers(table.column_names), sql.Identifier(table.name))
