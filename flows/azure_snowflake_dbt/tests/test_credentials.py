import json
import logging
from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

import credentials

ACCOUNT = {"account": "a", "user": "u", "database": "d", "warehouse": "w"}
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(encryption):
    """The key as PEM text."""
    return KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


@pytest.fixture
def snowflake(monkeypatch):
    def set_secret(**arguments):
        monkeypatch.setenv("SECRET_SNOWFLAKE", json.dumps(ACCOUNT | arguments))
        return credentials.snowflake(logging.getLogger())

    return set_secret


@pytest.mark.parametrize(
    "arguments",
    [
        {"private_key": pem(NoEncryption())},
        {"private_key": pem(BestAvailableEncryption(b"pass")), "passphrase": "pass"},
        {"private_key": pem(NoEncryption()), "password": "ignored"},
    ],
)
def test_a_key_pair_signs_in(snowflake, caplog, arguments):
    got = snowflake(**arguments)
    assert load_der_private_key(got["private_key"], None).private_numbers() == KEY.private_numbers()
    assert load_der_private_key(b64decode(credentials.private_key_text(got)), None)
    assert not {"password", "passphrase"} & got.keys()
    assert not caplog.records


def test_a_password_signs_in_with_a_warning(snowflake, caplog):
    assert snowflake(password="pw")["password"] == "pw"
    assert "use a key pair" in caplog.text
    assert "pw" not in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither private_key nor password"),
        ({"private_key": "s3cret"}, "is not a PEM key"),
        ({"private_key": pem(BestAvailableEncryption(b"pass")), "passphrase": "wr0ng"}, "passphrase is wrong"),
    ],
)
def test_mistakes_are_named_without_showing_values(snowflake, arguments, message):
    with pytest.raises(ValueError, match=message) as refused:
        snowflake(**arguments)
    assert not [value for value in arguments.values() if value in str(refused.value)]


def test_missing_arguments_are_named(monkeypatch):
    monkeypatch.setenv("SECRET_SNOWFLAKE", '{"account": "a", "user": "u"}')
    with pytest.raises(ValueError, match="lacks database, warehouse"):
        credentials.snowflake(logging.getLogger())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("null", "not a JSON object"),
        ("s3cret", "not a JSON object"),
        ('["s3cret"]', "not a JSON object"),
        (json.dumps(ACCOUNT | {"password": None}), "neither private_key nor password"),
        (json.dumps(ACCOUNT | {"password": ""}), "neither private_key nor password"),
        (json.dumps(ACCOUNT | {"password": 7}), "must have a text as password"),
        (json.dumps(ACCOUNT | {"account": None, "password": "s3cret"}), "lacks account"),
        (json.dumps(ACCOUNT | {"user": "", "password": "s3cret"}), "lacks user"),
        (json.dumps(ACCOUNT | {"private_key": ["s3cret"]}), "must have a text as private_key"),
        (json.dumps(ACCOUNT | {"private_key": "é s3cret"}), "is not a PEM key"),
        (json.dumps(ACCOUNT | {"password": "s3cret", "port": "²"}), "a number from 1 to 65535 as port"),
        (json.dumps(ACCOUNT | {"password": "s3cret", "port": 70000}), "a number from 1 to 65535 as port"),
    ],
)
def test_a_secret_of_another_shape_is_reported_without_showing_it(monkeypatch, value, message):
    monkeypatch.setenv("SECRET_SNOWFLAKE", value)
    with pytest.raises(ValueError, match=message) as refused:
        credentials.snowflake(logging.getLogger())
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("value", ["null", " ", {"key": "s3cret"}, None, 7])
def test_a_secret_that_is_not_text(monkeypatch, value):
    monkeypatch.setattr(credentials, "_secret", lambda name: value)
    with pytest.raises(ValueError, match="the secret 'azure-function-key' must be a text, and not an empty one"):
        credentials.text("azure-function-key")
