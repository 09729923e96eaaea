"""Needs the source databases with the sample data:

SOURCE_POSTGRES_DSN=postgresql://reader:…@127.0.0.1:15432/shop
SOURCE_MARIADB_DSN=mysql://reader:…@127.0.0.1:13306/shop
"""

import os
from urllib.parse import unquote, urlsplit

import pytest

from sources import Login, open_source


def login(variable: str) -> Login:
    if variable not in os.environ:
        pytest.fail(f"{variable} is not set; give the address of the database: scheme://user:password@host:port/shop")
    dsn = urlsplit(os.environ[variable])
    return Login(dsn.hostname, dsn.path.strip("/"), unquote(dsn.username), unquote(dsn.password), dsn.port)


@pytest.fixture(scope="session")
def postgres_login():
    return login("SOURCE_POSTGRES_DSN")


@pytest.fixture(scope="session")
def mariadb_login():
    return login("SOURCE_MARIADB_DSN")


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
