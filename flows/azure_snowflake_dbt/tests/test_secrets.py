"""No error and no line of a log holds a part of a key, a signature, a login or a private key."""

import json
import logging
from datetime import date
from urllib.parse import quote, quote_plus

import pytest
import snowflake.connector
from hostile import ENCODED, MARK, SECRET, visible_text
from snowflake.connector.errors import DatabaseError
from test_azure_function import MANIFEST

import credentials
from azure_function import ATTEMPTS, ExportFunction, FunctionError
from snowflake_session import SignInError, connect

# What a header carries: white space at an end is not of it
KEY = SECRET.strip()
ECHOES = {
    "as it is": KEY,
    "percent-encoded": ENCODED,
    "in lower case": ENCODED.lower(),
    "in a form": quote_plus(KEY),
    "in a path": quote(KEY),
    "as a literal": repr(KEY),
    "as bytes": repr(KEY.encode()),
    "as JSON": json.dumps(KEY),
    "in an address": f"https://me:{ENCODED}@example.org/api?code={ENCODED}&sig={ENCODED}",
    "late": "x" * 480 + KEY,
}


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG)
    # it sets its own level when it is used first
    caplog.set_level(logging.WARNING, "httpcore")
    return caplog


def export(url, key=KEY):
    with ExportFunction(url, key, 3600, logging.getLogger(), sleep=lambda _: None) as function:
        return function.export(
            export_id="run-2026-01-02", dataset="orders", logical_date=date(2026, 1, 2), file_format="csv"
        )


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [401, 404, 500, "Failed", "202 and 404", "202 and 500", "a manifest"])
def test_a_function_that_repeats_its_request(function, log, status, echo):
    words = ECHOES[echo]
    accepted = {"statusQueryGetUri": f"{function.origin}/status?code={ENCODED}&sig={ENCODED}"}
    match status:
        case int():
            for _ in range(ATTEMPTS):
                function.will_answer(status, words)
        case "Failed":
            function.will_answer(202, accepted)
            function.will_answer(200, {"runtimeStatus": "Failed", "output": {"message": words}})
        case "a manifest":
            function.will_answer(200, MANIFEST | {"path": words, "columns": [words, words], words: words})
        case _:
            function.will_answer(202, accepted)
            for _ in range(10):
                function.will_answer(int(status[-3:]), words)
    with pytest.raises(FunctionError) as failed:
        export(f"{function.origin}/api/export?code={ENCODED}")
    assert MARK not in str(failed.value) + repr(failed.value) + log.text
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{ENCODED}@127.0.0.1:1/api?code={ENCODED}",
        f"http://me:{ENCODED}@127.0.0.1:99999/api?code={ENCODED}",
        f"ftp://me:{SECRET}@example.org/api?code={SECRET}",
        f"http://me:{SECRET}@example.org/api?code={SECRET}",
    ],
)
def test_an_unreachable_address(log, url):
    with pytest.raises(FunctionError) as failed:
        export(url)
    assert MARK not in visible_text(failed.value) + log.text


@pytest.mark.parametrize("character", ["\n", "\r\n", "é", "\0"])
def test_a_key_that_is_invalid_in_a_header(log, character):
    with pytest.raises(FunctionError) as failed:
        export("http://127.0.0.1:1/api", f"{KEY}{character}{KEY}")
    assert MARK not in visible_text(failed.value) + log.text


@pytest.mark.parametrize("echo", ECHOES)
def test_a_refused_sign_in_hides_secrets(monkeypatch, echo):
    def refuse(**_):
        raise DatabaseError(f"250001: incorrect: {ECHOES[echo]}")

    monkeypatch.setattr(snowflake.connector, "connect", refuse)
    with pytest.raises(SignInError) as refused:
        connect({"account": "a", "user": "u", "password": KEY}, query_tag="t", time_limit=1)
    assert MARK not in visible_text(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps([SECRET]),
        json.dumps({"account": SECRET}),
        json.dumps({"account": "a", "user": "u", "database": "d", "warehouse": "w", "private_key": SECRET}),
        json.dumps({"account": "a", "user": "u", "database": "d", "warehouse": "w", "password": [SECRET]}),
        json.dumps({"account": "a", "user": "u", "database": "d", "warehouse": "w", "port": SECRET}),
    ],
)
def test_a_secret_of_another_shape(monkeypatch, log, value):
    monkeypatch.setenv("SECRET_SNOWFLAKE", value)
    with pytest.raises(ValueError, match="the secret 'snowflake'") as refused:
        credentials.snowflake(logging.getLogger())
    assert MARK not in str(refused.value) + log.text
