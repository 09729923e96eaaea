"""No error and no line of a log holds a part of a login, a signature or a key."""

import logging

import pytest
from bigquery_stand_in import BigQuery
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import Client
from hostile import ENCODED, MARK, SECRET, visible_text
from web import serving

import bigquery
from credentials import secret
from download import fetch
from errors import LoadError
from months import months_to_load
from postgres import Database, replace
from rows import open_rows

LOGINS = {"percent-encoded": f"me:{ENCODED}@", "as it is": f"me:{SECRET}@", "none": ""}
FAILURES = {
    "no such file": 404,
    "busy": 503,
    "cut": b"id\n" * 1000,
    "no server": None,
    "another scheme": None,
    "no port": None,
    "no braces": None,
}


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore"):
        # as a run has them: Prefect takes over no other logger
        caplog.set_level(logging.CRITICAL, name)
    return caplog


def download(address, cache, names_month):
    if names_month:
        [month] = months_to_load("yellow", 2024, [1], address, None)
        address = month.address
    fetch(address, cache, warn=pytest.fail)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("query", [f"?sig={ENCODED}", f"?sig={SECRET}#{SECRET}"], ids=["encoded", "as it is"])
def test_downloads(web, tmp_path, log, failure, login, query):
    web.files["/a.csv"], web.cut = FAILURES[failure] or b"", {"/a.csv"}
    address = {
        "no server": "http://{}127.0.0.1:1/a.csv{}",
        "another scheme": "ftp://{}127.0.0.1/a.csv{}",
        "no port": "http://{}127.0.0.1:99999/a.csv{}",
        "no braces": "http://{}127.0.0.1/{{color}}.csv{}",
    }.get(failure, web.address.replace("//", "//{}") + "/a.csv{}")
    address = address.format(LOGINS[login], query)
    with pytest.raises(LoadError) as caught:
        download(address, tmp_path, names_month=failure == "no braces")
    assert MARK not in visible_text(caught.value) + log.text
    assert "\n" not in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if MARK in path.name] == []


def test_a_warning(web, tmp_path):
    web.files["/a.csv"], web.unmeasured, warnings = b"id\n1\n", {"/a.csv"}, []
    fetch(f"{web.address}/a.csv?sig={ENCODED}", tmp_path, warnings.append)
    assert len(warnings) == 1
    assert MARK not in warnings[0]


def test_bigquery(log):
    [month] = months_to_load("yellow", 2024, [1], f"gs://me:{ENCODED}@bucket/a.csv?sig={ENCODED}", None)
    with serving(BigQuery()) as google:
        client = Client("project", AnonymousCredentials(), client_options={"api_endpoint": google.address})
        for failure in ("no access", "no file"):
            google.status = 403 if failure == "no access" else 200
            with pytest.raises(LoadError) as caught:
                bigquery.replace(client, "project.taxis.trips", month)
            assert MARK not in visible_text(caught.value) + log.text


def test_a_key_of_google():
    with pytest.raises(LoadError) as caught:
        bigquery.connect({"project_id": "project", "client_email": SECRET, "token_uri": SECRET, "private_key": SECRET})
    assert MARK not in visible_text(caught.value)


@pytest.mark.parametrize(
    "value", [SECRET, f'{{"user": "{MARK}"}}', f'["{MARK}"]', f'"{MARK}', f'{{"user": "{MARK}", "password": null}}']
)
def test_a_secret_of_another_shape(monkeypatch, value):
    monkeypatch.setenv("SECRET_TARGET_POSTGRES", value)
    with pytest.raises(LoadError) as caught:
        secret("target-postgres", "user", "password")
    assert MARK not in visible_text(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "no host", "127.0.0.1:1:1", "/nowhere"])
def test_a_database(tmp_path, log, host):
    (tmp_path / "a.csv").write_text("id\n1\n")
    database = Database(host, 1, "warehouse", "loader", SECRET)
    assert MARK not in f"{database!r} {database}"
    with pytest.raises(LoadError) as caught:
        replace(database, "public.trips", "yellow/2024-01", open_rows(tmp_path / "a.csv"))
    assert MARK not in visible_text(caught.value) + log.text
