import pytest

import credentials
from credentials import login
from errors import StepError


def test_environment_takes_precedence_over_the_block(monkeypatch):
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", '{"user": "reader", "password": "pw"}')
    assert login("source-postgres") == ("reader", "pw")


def test_missing_block_names_what_to_create(monkeypatch):
    class Missing:
        @staticmethod
        def load(name, _sync):
            raise ValueError

    monkeypatch.setattr(credentials, "Secret", Missing)
    with pytest.raises(StepError, match=r"block 'no-such' .*SECRET_NO_SUCH\) does not exist; create it"):
        login("no-such")


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2",
        '"hunter2"',
        '{"password": "hunter2"}',
        "null",
        "",
        '{"user": null, "password": "hunter2"}',
        '{"user": "hunter2", "password": 7}',
        '{"user": "", "password": "hunter2"}',
        '{"user": "reader", "password": "hunter2\\u0000"}',
    ],
)
def test_a_malformed_secret_is_not_shown(monkeypatch, secret):
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", secret)
    with pytest.raises(StepError, match="must be a JSON object with user and password") as caught:
        login("source-postgres")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
