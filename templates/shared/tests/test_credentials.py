import pytest

import credentials
from credentials import secret


def test_the_environment_takes_precedence_over_the_block(monkeypatch):
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", '{"user": "reader", "password": "pw", "sslmode": "require"}')
    assert secret("source-postgres", "user") == {"user": "reader", "password": "pw", "sslmode": "require"}


def test_a_missing_block_is_named(monkeypatch):
    class Missing:
        @staticmethod
        def load(name, _sync):
            raise ValueError

    monkeypatch.setattr(credentials, "Secret", Missing)
    with pytest.raises(LookupError, match=r"'no-such': create the Prefect Secret block, or set SECRET_NO_SUCH"):
        secret("no-such", "user")


@pytest.mark.parametrize(
    "value",
    [
        "hunter2",
        '"hunter2"',
        '["hunter2"]',
        "null",
        '{"password": "hunter2"}',
        '{"user": null, "password": "hunter2"}',
        '{"user": "", "password": "hunter2"}',
        '{"user": "hunter2", "password": 7}',
    ],
)
def test_a_malformed_secret_is_not_shown(monkeypatch, value):
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", value)
    with pytest.raises(LookupError, match="must be a JSON object with user, password, each of them") as caught:
        secret("source-postgres", "user", "password")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
