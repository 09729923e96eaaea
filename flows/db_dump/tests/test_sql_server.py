"""SQL Server without a server, with the driver's own classes."""

import ctypes
from datetime import datetime, time
from decimal import Decimal

import mssql_python
import pyarrow as pa
import pytest
from mssql_python.exceptions import sqlstate_to_exception

from sources import Login, SourceError, SourceUnavailable, open_source, sql_server

LOGIN = Login("db.example.org", "shop", "reader", "top;secret}")


def test_sql_server_connections_are_encrypted_and_verified():
    settings = sql_server._connection(LOGIN)
    # the driver's own reading of them
    text, _ = mssql_python.Connection._construct_connection_string(None, "", **_only_text(settings))
    assert "Encrypt=yes" in text
    assert "TrustServerCertificate=no" in text
    assert "Server=db.example.org,1433" in text
    assert "PWD={top;secret}}}" in text
    assert settings["autocommit"] is False


def _only_text(settings):
    return {name: value for name, value in settings.items() if isinstance(value, str)}


def test_sql_server_types_are_those_of_the_other_databases():
    batch = pa.record_batch(
        {
            "text": pa.array(["None", "", None], pa.large_string()),
            "data": pa.array([b"\x00", b"", None], pa.large_binary()),
            "price": pa.array([Decimal("-1.10"), None, None], pa.decimal128(38, 2)),
            "at": pa.array([datetime(9999, 12, 31), None, None], pa.timestamp("us", "+00:00")),
        }
    )
    plain = sql_server._plain(batch)
    assert plain.to_pylist() == batch.to_pylist()
    assert plain.schema.types == [pa.string(), pa.binary(), pa.decimal128(38, 2), pa.timestamp("us", "UTC")]


def test_sql_server_times_are_kept_to_the_microsecond():
    batch = pa.record_batch({"at": pa.array([3_723_000_000_100, None], pa.time64("ns"))})
    assert sql_server._plain(batch).to_pydict() == {"at": [time(1, 2, 3), None]}


@pytest.mark.parametrize(
    ("state", "passing"),
    [("08001", True), ("08S01", True), ("HYT00", True), ("40001", True), ("28000", False), ("42S02", False)],
)
def test_transient_errors_of_sql_server(state, passing):
    error = sqlstate_to_exception(state, "[Microsoft][ODBC Driver 18 for SQL Server]…")
    assert (sql_server._error_type(error) is SourceUnavailable) == passing


def test_an_unreachable_sql_server():
    nowhere = open_source("sql_server", Login("127.0.0.1", "shop", "reader", LOGIN.password, 1))
    with pytest.raises(SourceError, match=r"^127\.0\.0\.1/shop: .+$") as caught:
        nowhere.columns("SELECT 1")
    assert LOGIN.password not in str(caught.value)
    try:
        ctypes.CDLL("libltdl.so.7")
    except OSError:
        assert "apt-get install libltdl7 libgssapi-krb5-2" in str(caught.value)
    else:
        assert isinstance(caught.value, SourceUnavailable)
