"""Rows between a database and CSV files, by COPY: what goes out goes in again exactly so, nulls and empty texts too."""

from typing import IO

import psycopg
from psycopg import sql

from database import identifiers
from tables import Table

BLOCK = 1024 * 1024


def copy_out(connection: psycopg.Connection, query: sql.Composable, file: IO[bytes]) -> int:
    """Write what the query gives; returns the number of rows."""
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(query)) as rows:
            for row in rows:
                file.write(row)
        return cursor.rowcount


def copy_in(connection: psycopg.Connection, table: Table, file: IO[bytes]) -> int:
    """Append the rows of the file to the table; returns their number."""
    # PostgreSQL itself compares the header with the columns
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER MATCH)").format(
        sql.Identifier(table.name), identifiers(table.column_names)
    )
    with connection.cursor() as cursor:
        with cursor.copy(copy) as rows:
            while block := file.read(BLOCK):
                rows.write(block)
        return cursor.rowcount
