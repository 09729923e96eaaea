import pytest
import snowflake.connector
from snowflake.connector.errors import DatabaseError, OperationalError

from snowflake_session import SignInError, connect

ACCOUNT = {"account": "org-acme", "user": "shop_etl", "private_key": b"DER", "database": "SHOP"}


def test_every_statement_has_a_time_limit(monkeypatch):
    arguments_used = {}
    monkeypatch.setattr(snowflake.connector, "connect", lambda **arguments: arguments_used.update(arguments))
    connect(ACCOUNT, query_tag="t", time_limit=900)
    assert (
        arguments_used["network_timeout"],
        arguments_used["session_parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"],
    ) == (900, 900)
    assert arguments_used["login_timeout"] <= 60
    connect(ACCOUNT | {"login_timeout": 5}, query_tag="t", time_limit=900)
    assert arguments_used["login_timeout"] == 5  # the secret takes precedence


@pytest.mark.parametrize("kind", [DatabaseError, OperationalError])
def test_a_refused_sign_in_is_one_line_that_names_the_secret(monkeypatch, kind):
    def refuse(**_):
        raise kind("250001 (08001): Failed to connect to DB:\n JWT token is invalid.")

    monkeypatch.setattr(snowflake.connector, "connect", refuse)
    with pytest.raises(SignInError) as refused:
        connect(ACCOUNT, query_tag="t", time_limit=900)
    message = str(refused.value)
    assert "\n" not in message
    for part in ("org-acme", "shop_etl", "JWT token is invalid", "the secret 'snowflake'"):
        assert part in message
    assert "DER" not in message
