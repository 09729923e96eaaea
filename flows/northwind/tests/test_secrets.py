"""No error and no line of a log holds a part of a login, a signature or a password."""

import json
import logging
from datetime import date

import pytest
from hostile import ENCODED, MARK, SECRET, visible_text

import order_details
from credentials import login
from database import Database
from errors import StepError
from files import Day

LOGINS = {"percent-encoded": f"me:{ENCODED}@", "as it is": f"me:{SECRET}@", "none": ""}
PLACES = {
    "no server": "http://{}127.0.0.1:1/a.csv?sig={}",
    "no port": "http://{}127.0.0.1:99999/a.csv?sig={}",
    "no web": "ftp://{}127.0.0.1/a.csv?sig={}",
    "large letters": "HTTP://{}127.0.0.1:1/a.csv#{}",
    "no scheme": "{}127.0.0.1/a.csv?sig={}",
}


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("who", LOGINS)
@pytest.mark.parametrize("signature", [ENCODED, SECRET], ids=["encoded", "as it is"])
def test_a_file(tmp_path, log, place, who, signature):
    with pytest.raises(StepError) as caught:
        order_details.extract(
            PLACES[place].format(LOGINS[who], signature), Day(tmp_path, date(2026, 11, 19)), warn=pytest.fail
        )
    assert MARK not in visible_text(caught.value) + log.text
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://me:{ENCODED}@127.0.0.1/db",
        f"postgresql://me:{SECRET}@127.0.0.1/db",
        f"host=127.0.0.1 dbname=db password={MARK}",
        f"postgresql://127.0.0.1/db?sslpassword={MARK}",
        f"{SECRET}",
    ],
)
def test_an_address_with_a_password(log, address):
    with pytest.raises(StepError) as caught:
        Database(address, "loader", "pw")
    assert MARK not in visible_text(caught.value) + log.text


@pytest.mark.parametrize("place", ["127.0.0.1:1", "no.such.host.invalid", "%2Fnowhere"])
def test_a_password(log, place):
    database = Database(f"postgresql://{place}/db", "loader", SECRET)
    with pytest.raises(StepError) as caught, database.transaction(read_only=True):
        pass
    assert MARK not in visible_text(caught.value) + log.text + f"{database!r} {database}"


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps([SECRET]),
        json.dumps({"user": SECRET}),
        json.dumps({"user": SECRET, "password": None}),
    ],
)
def test_a_secret_of_another_shape(monkeypatch, value):
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", value)
    with pytest.raises(StepError) as caught:
        login("source-postgres")
    assert MARK not in visible_text(caught.value)
