"""No error and no line of a log holds a part of a login, a signature or a password."""

import json
import logging

import pytest
from hostile import ENCODED, MARK, SECRET, visible_text
from publishing import SCHEMA, Published

from credentials import database_login, target_arguments
from sources import Login, SourceError, open_source
from storage import Folder, StorageError
from targets import TargetError, open_target


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize("db_type", ["postgres", "mysql", "sql_server", "oracle"])
@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_a_source(log, db_type, host):
    login = Login(host, "shop", "reader", SECRET, port=1)
    with pytest.raises(SourceError) as caught:
        open_source(db_type, login).columns("SELECT 1 AS id")
    assert MARK not in visible_text(caught.value) + log.text + repr(login)


@pytest.mark.parametrize(
    "address",
    [
        f"nowhere://me:{ENCODED}@example.org/dumps?sig={ENCODED}",
        f"nowhere://me:{SECRET}@example.org/dumps?sig={SECRET}",
        f"nowhere://example.org:9000/dumps?sig={SECRET}",
    ],
)
def test_a_folder(log, address):
    with pytest.raises(StorageError) as caught:
        Folder(address)
    assert MARK not in visible_text(caught.value) + log.text
    assert str(caught.value).startswith("staging_root: nowhere://")


@pytest.mark.parametrize("arguments", [{}, {"no_such_option": SECRET}], ids=["no server", "no option"])
def test_a_target(log, tmp_path, arguments):
    target_of = {"host": "127.0.0.1", "port": 1, "dbname": "warehouse", "user": "loader", "password": SECRET}
    with pytest.raises(TargetError) as caught:
        Published(tmp_path, open_target("postgres", target_of | arguments)).check(SCHEMA)
    assert MARK not in visible_text(caught.value) + log.text


@pytest.mark.parametrize("value", [SECRET, json.dumps(SECRET), json.dumps([SECRET]), "null", f'{{"user": "{MARK}'])
@pytest.mark.parametrize("read", [database_login, target_arguments])
def test_a_secret_that_is_not_an_object(monkeypatch, value, read):
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", value)
    with pytest.raises(LookupError) as caught:
        read("/source-postgres")
    assert MARK not in visible_text(caught.value)


@pytest.mark.parametrize("password", [None, 7, "", [SECRET]])
def test_a_login_that_is_not_text(monkeypatch, password):
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", json.dumps({"user": SECRET, "password": password}))
    with pytest.raises(LookupError, match=r"user and password, each of them a text$") as caught:
        database_login("/source-postgres")
    assert MARK not in visible_text(caught.value)
