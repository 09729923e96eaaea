"""Rows between a database and CSV files, by COPY, which keeps every value exactly, also nulls and empty texts."""

from typing import IO, Any

import psycopg
from psycopg import sql

from database import identifiers
from tables import Table

BLOCK_BYTES = 1024 * 1024


def copy_out(connection: psycopg.Connection[Any], query: sql.Composable, file: IO[bytes]) -> int:
    """Write the rows of the query to the file; returns their number."""
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(query)) as rows:
            for row in rows:
                file.write(row)
        return cursor.rowcount


def copy_in(connection: psycopg.Connection[Any], table: Table, file: IO[bytes]) -> int:
    """Append the rows of the file to the table; returns their number."""
    # PostgreSQL itself compares the header with the columns
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER MATCH)").format(
        sql.Identifier(table.name), identifiers(table.column_names)
    )
    with connection.cursor() as cursor:
        with cursor.copy(copy) as rows:
            while block := file.read(BLOCK_BYTES):
                rows.write(block)
        return cursor.rowcount
