import pytest

from database import Database
from errors import StepError, Unavailable


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://loader:hunter2@host/db",
        "host=h dbname=d password=hunter2",
        "hunter2",
        "postgresql://host",
        "",
        "postgresql://h/d?sslpassword=hunter2",
    ],
)
def test_an_incomplete_address_or_one_with_a_password_is_refused(address):
    with pytest.raises(StepError, match=r"must be postgresql://host\[:port\]/database, without the password") as caught:
        Database(address, "loader", "pw")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("port", ["0", "65536", "99999999", "²", "http"])
def test_an_invalid_port(port):
    with pytest.raises(StepError, match=rf"^host/db: {port} is not a port; give the address a port from 1 to"):
        Database(f"postgresql://host:{port}/db", "loader", "pw")


def test_the_password_is_not_shown():
    database = Database("postgresql://host:5433/warehouse", "loader", "hunter2")
    assert "hunter2" not in f"{database!r} {database}"
    assert str(database) == "host/warehouse"


def test_an_unreachable_server_can_be_retried():
    database = Database("postgresql://127.0.0.1:1/warehouse", "loader", "hunter2")
    with (
        pytest.raises(
            Unavailable, match=r"^127\.0\.0\.1/warehouse: .*refused.*; check the address, and the secret"
        ) as caught,
        database.transaction(read_only=True),
    ):
        pass
    assert "\n" not in str(caught.value)
