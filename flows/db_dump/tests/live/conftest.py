"""Needs the source databases with the sample data, a database to load into, a pooler, and the stand-in for Snowflake:

SOURCE_POSTGRES_DSN=postgresql://reader:…@127.0.0.1:15432/shop
SOURCE_MARIADB_DSN=mysql://reader:…@127.0.0.1:13306/shop
TARGET_POSTGRES_DSN=postgresql://loader:…@127.0.0.1:15433/warehouse
POOLER_PORT=16432
SECRET_SNOWFLAKE={"account": "lab", "host": "127.0.0.1", …}
"""

import json
import os
from contextlib import closing
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from prefect.testing.utilities import prefect_test_harness
from running import MONTHLY, QUERY
from snowflake import connector

from sources import Login, open_source
from stage import Table
from targets import open_target


def login(variable: str) -> Login:
    if variable not in os.environ:
        pytest.fail(f"{variable} is not set; give the address of the database: scheme://user:password@host:port/shop")
    dsn = urlsplit(os.environ[variable])
    user, password = unquote(dsn.username or ""), unquote(dsn.password or "")
    return Login(dsn.hostname or "", dsn.path.strip("/"), user, password, dsn.port)


@pytest.fixture(scope="session")
def server():
    """A Prefect server for the tests alone."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def postgres_login():
    return login("SOURCE_POSTGRES_DSN")


@pytest.fixture(scope="session")
def mariadb_login():
    return login("SOURCE_MARIADB_DSN")


@pytest.fixture(scope="session")
def target_login():
    """The connection arguments of the PostgreSQL to load into."""
    to = login("TARGET_POSTGRES_DSN")
    return {"host": to.host, "port": to.port, "dbname": to.database, "user": to.user, "password": to.password}


@pytest.fixture
def warehouse(target_login):
    """The PostgreSQL to load into, without the schemas the tests make in it."""
    with closing(psycopg.connect(**target_login, autocommit=True)) as connection:
        connection.execute("DROP SCHEMA IF EXISTS db_dump_test CASCADE")
        yield connection
        connection.execute("DROP SCHEMA IF EXISTS db_dump_test CASCADE")


@pytest.fixture(scope="session")
def snowflake_login():
    """The connection arguments of the stand-in for Snowflake."""
    if "SECRET_SNOWFLAKE" not in os.environ:
        pytest.fail("SECRET_SNOWFLAKE is not set; give the connection arguments of the stand-in, as JSON")
    return json.loads(os.environ["SECRET_SNOWFLAKE"])


@pytest.fixture(scope="session")
def snowflake_target(snowflake_login):
    return open_target("snowflake", snowflake_login)


@pytest.fixture(scope="session")
def postgres_target(target_login):
    return open_target("postgres", target_login)


@pytest.fixture(scope="session")
def loaded(target_login):
    """The PostgreSQL that was loaded into, to read from."""
    to = target_login
    return open_source("postgres", Login(to["host"], to["dbname"], to["user"], to["password"], to["port"]))


@pytest.fixture
def snowflake(snowflake_login):
    """Run a statement in a session of its own; the schema the tests make is not there before and after."""
    place = f"{snowflake_login['database']}.DB_DUMP_TEST"

    def run(statement):
        more = {name: value for name, value in snowflake_login.items() if name not in ("private_key", "passphrase")}
        with closing(connector.connect(**more, password="-", login_timeout=20)) as connection:
            return connection.cursor().execute(statement.replace("DB_DUMP_TEST", place)).fetchall()

    run("DROP SCHEMA IF EXISTS DB_DUMP_TEST CASCADE")
    yield run
    run("DROP SCHEMA IF EXISTS DB_DUMP_TEST CASCADE")


@pytest.fixture(scope="session")
def postgres(postgres_login):
    return open_source("postgres", postgres_login)


@pytest.fixture(scope="session")
def mariadb(mariadb_login):
    return open_source("mysql", mariadb_login)


@pytest.fixture(params=["postgres", "mariadb"])
def source(request):
    """Each of the databases in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def shop(postgres_login):
    """A connection to the source PostgreSQL."""
    login = postgres_login
    arguments = {"host": login.host, "port": login.port, "dbname": login.database, "user": login.user}
    with closing(psycopg.connect(**arguments, password=login.password, autocommit=True)) as connection:
        yield connection


@pytest.fixture
def run(tmp_path, monkeypatch, postgres_login, target_login):
    """The parameters of a run that reads the orders and loads them."""
    login = {"user": postgres_login.user, "password": postgres_login.password}
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", json.dumps(login))
    monkeypatch.setenv("SECRET_TARGET", json.dumps(target_login))
    monkeypatch.setenv("DB_DUMP_ROOT", str(tmp_path))
    return MONTHLY | {
        "db_host": postgres_login.host,
        "db_port": postgres_login.port,
        "dataset_id": "db_dump_test",
        "table_id": "orders",
        "batch_data_type": "parquet",
        "batch_size": 20,
        "execute_query": QUERY,
        "target_type": "postgres",
        "target_secret_path": "/target",
    }


@pytest.fixture
def table(tmp_path):
    return Table(str(tmp_path), "db_dump_test", "orders")
