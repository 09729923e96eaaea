import psycopg
import pytest
from prefect.states import Failed

from database import connect, connection_lost


def test_an_unreachable_server_gives_one_line_without_the_password():
    login = {"host": "127.0.0.1", "port": 1, "dbname": "shop", "user": "reader", "password": "hunter2"}
    with pytest.raises(psycopg.OperationalError, match=r"127\.0\.0\.1.* port 1 .*refused") as caught, connect(login):
        pass
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "retried"), [(psycopg.OperationalError(), True), (psycopg.errors.UndefinedTable(), False)]
)
def test_only_a_lost_connection_is_retried(error, retried):
    assert connection_lost(None, None, Failed(data=error)) == retried
