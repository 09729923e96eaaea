import pytest

from credentials import secret
from errors import LoadError


def test_the_environment_takes_precedence(monkeypatch):
    monkeypatch.setenv("SECRET_TARGET_POSTGRES", '{"user": "loader", "password": "p"}')
    assert secret("target-postgres", "user", "password") == {"user": "loader", "password": "p"}


@pytest.mark.parametrize(
    "value",
    [
        "topsecret",
        '{"user": "topsecret"}',
        '["topsecret"]',
        "null",
        "",
        '{"user": "topsecret", "password": null}',
        '{"user": "topsecret", "password": 7}',
        '{"user": "", "password": "topsecret"}',
    ],
)
def test_a_secret_of_another_shape_is_not_shown(monkeypatch, value):
    monkeypatch.setenv("SECRET_TARGET_POSTGRES", value)
    with pytest.raises(LoadError, match=r"must be a JSON object with user, password, each of them a text$") as caught:
        secret("target-postgres", "user", "password")
    assert "topsecret" not in str(caught.value)
