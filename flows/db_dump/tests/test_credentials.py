import pytest

import credentials
from credentials import block_name, database_login, target_arguments
from sources.login import Login


def test_block_names():
    assert block_name("/source-postgres") == "source-postgres"
    assert block_name("/db/my_shop") == "db-my-shop"


def test_environment_takes_precedence_over_the_block(monkeypatch):
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", '{"user": "reader", "password": "pw"}')
    assert database_login("/source-postgres") == ("reader", "pw")


def test_block(monkeypatch):
    class Stored:
        @staticmethod
        def load(name, _sync):
            assert name == "source-postgres"
            return Stored()

        def get(self):
            return {"user": "reader", "password": "pw"}

    monkeypatch.delenv("SECRET_SOURCE_POSTGRES", raising=False)
    monkeypatch.setattr(credentials, "Secret", Stored)
    assert database_login("/source-postgres") == ("reader", "pw")


def test_missing_block_names_what_to_create(monkeypatch):
    class Missing:
        @staticmethod
        def load(name, _sync):
            raise ValueError

    monkeypatch.setattr(credentials, "Secret", Missing)
    with pytest.raises(LookupError, match=r"infisical_secret_path: /nope .* block 'nope' .*SECRET_NOPE"):
        database_login("/nope")


@pytest.mark.parametrize("secret", ["hunter2", '"hunter2"', '{"password": "hunter2"}'])
def test_a_malformed_secret_is_not_shown(monkeypatch, secret):
    monkeypatch.setenv("SECRET_SOURCE_POSTGRES", secret)
    with pytest.raises(LookupError, match="must be a JSON object with user and password") as caught:
        database_login("/source-postgres")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or not caught.value.__context__


def test_the_arguments_of_a_target(monkeypatch):
    monkeypatch.setenv("SECRET_WAREHOUSE", '{"host": "db", "password": "hunter2"}')
    assert target_arguments("/warehouse") == {"host": "db", "password": "hunter2"}
    monkeypatch.setenv("SECRET_WAREHOUSE", '["hunter2"]')
    with pytest.raises(LookupError, match=r"target_secret_path: .*'warehouse' must be a JSON object with") as caught:
        target_arguments("/warehouse")
    assert "hunter2" not in str(caught.value)


def test_a_login_does_not_show_its_password():
    assert "hunter2" not in repr(Login("host", "db", "user", "hunter2"))
