import psycopg
import pytest
from prefect.states import Failed

from database import connect, lost


def test_a_server_that_is_not_there_is_one_line_without_the_password():
    login = {"host": "127.0.0.1", "port": 1, "dbname": "shop", "user": "reader", "password": "hunter2"}
    with pytest.raises(psycopg.OperationalError, match=r"127\.0\.0\.1.* port 1 .*refused") as caught, connect(login):
        pass
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "again"), [(psycopg.OperationalError(), True), (psycopg.errors.UndefinedTable(), False)]
)
def test_only_a_lost_connection_is_tried_again(error, again):
    assert lost(None, None, Failed(data=error)) == again
