"""Needs a PostgreSQL in which schemas can be made:

TARGET_POSTGRES_DSN=postgresql://loader:…@127.0.0.1:15433/warehouse
"""

import os
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import adbc_driver_postgresql.dbapi as adbc
import pytest

from postgres import Database


@pytest.fixture(scope="session")
def database():
    if "TARGET_POSTGRES_DSN" not in os.environ:
        pytest.fail("TARGET_POSTGRES_DSN is not set; give postgresql://user:password@host:port/database")
    dsn = urlsplit(os.environ["TARGET_POSTGRES_DSN"])
    return Database(dsn.hostname, dsn.port, dsn.path.strip("/"), unquote(dsn.username), unquote(dsn.password))


@pytest.fixture
def sql(database):
    """Runs a statement of its own, and gives its rows."""
    with adbc.connect(database.address, autocommit=True) as connection:

        def run(statement):
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else None

        yield run


@pytest.fixture
def table(sql):
    """The name of a table that is not there yet, in a schema of its own."""
    schema = f"test_{uuid4().hex[:8]}"
    sql(f"CREATE SCHEMA {schema}")
    yield f"{schema}.trips"
    sql(f"DROP SCHEMA {schema} CASCADE")
