"""Needs both servers: the source with the sample data, and a target whose login may create databases.

SOURCE_POSTGRES_DSN=postgresql://reader:…@127.0.0.1:15432/…    (its database northwind is read)
TARGET_POSTGRES_DSN=postgresql://loader:…@127.0.0.1:15433/…    (databases of the tests' own are made there)
"""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import psycopg
import pytest
from databases import execute
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness
from psycopg import sql

import flow
from database import Database

SHOP = Path(__file__).with_name("shop.sql").read_text()


def server(variable):
    """Address without a database, and login."""
    if variable not in os.environ:
        pytest.fail(f"{variable} is not set; give the address of the server: postgresql://user:password@host:port/…")
    dsn = urlsplit(os.environ[variable])
    return f"postgresql://{dsn.hostname}:{dsn.port}", unquote(dsn.username), unquote(dsn.password)


@pytest.fixture(scope="session")
def sample():
    """The sample database of the source."""
    address, *login = server("SOURCE_POSTGRES_DSN")
    return Database(f"{address}/northwind", *login)


@pytest.fixture
def new_database():
    """Makes databases that go with the test."""
    address, *login = server("TARGET_POSTGRES_DSN")
    database_names = []
    admin = psycopg.connect(f"{address}/postgres", user=login[0], password=login[1], autocommit=True)

    def make(script=""):
        database_names.append(f"northwind_test_{uuid4().hex[:8]}")
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database_names[-1])))
        database = Database(f"{address}/{database_names[-1]}", *login)
        execute(database, script)
        return database

    yield make
    for name in database_names:
        # WITH (FORCE) is refused while autovacuum, which is nobody's, looks at the database.
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user"
        admin.execute(ours, [name])
        admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    admin.close()


@pytest.fixture
def shop(new_database):
    """A small source that a test may change."""
    return new_database(SHOP)


@pytest.fixture
def target(new_database):
    return new_database()


@pytest.fixture(scope="session")
def api():
    with prefect_test_harness(server_startup_timeout=120):
        yield PREFECT_API_URL.value()


@pytest.fixture
def run(api, monkeypatch, tmp_path, shop, target):
    """Runs the flow, from the shop to the target unless told otherwise; steps that fail are not tried again."""
    for step in (flow.extract_postgres, flow.extract_csv, flow.load, flow.report):
        monkeypatch.setattr(step, "retries", 0)
    details = tmp_path / "details.csv"
    details.write_text("order_id,product_id,unit_price,quantity,discount\n1,1,9.80,3,0\n1,2,0.1,1,0.05\n2,1,9.8,2,0\n")
    root = tmp_path / "root"
    parameters = {"day": "2026-11-19", "order_details_csv": str(details), "root": str(root)}

    def to(source, target):
        for name, database in {"source": source, "target": target}.items():
            secret = json.dumps({"user": database.user, "password": database.password})
            monkeypatch.setenv(f"SECRET_{name.upper()}", secret)
            parameters.update({f"{name}_address": database.address, f"{name}_login": name})

    def go(**changed):
        flow.northwind(**parameters | changed)

    to(shop, target)
    command = [sys.executable, "-m", "flow"]
    return SimpleNamespace(
        go=go, to=to, root=root, details=details, parameters=parameters, command=command, env={"PREFECT_API_URL": api}
    )
