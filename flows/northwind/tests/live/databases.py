"""What is in a database, and changes to it."""

import psycopg
from psycopg import sql


def connect(database, **options):
    return psycopg.connect(database.address, user=database.user, password=database.password, **options)


def execute(database, script):
    with connect(database, autocommit=True) as connection:
        connection.execute(script)


def contents(database):
    """All rows of all tables, as text."""
    with connect(database) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition AND relname <> 'northwind_loaded'"
        ).fetchall()
        query = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1")
        return {
            name: [row for (row,) in connection.execute(query.format(sql.Identifier(name))).fetchall()]
            for (name,) in tables
        }
