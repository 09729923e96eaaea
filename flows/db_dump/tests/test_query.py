import re
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from errors import ParameterError
from periods import Period
from query import check_dates, chunk_query, clean, column_list, periods
from sources.login import Login
from sources.mysql import MySQL
from sources.oracle import Oracle
from sources.postgres import Postgres
from sources.sql_server import SQLServer

LOGIN = Login("host", "db", "user", "secret")
JANUARY = Period(date(2024, 1, 1), date(2024, 2, 1))


def test_range_is_half_open_on_the_bare_column():
    assert chunk_query("SELECT * FROM orders", ["ordered_at"], JANUARY, None, Postgres(LOGIN)) == (
        "SELECT * FROM (\nSELECT * FROM orders\n) source\n"
        """WHERE "ordered_at" >= '2024-01-01' AND "ordered_at" < '2024-02-01'"""
    )


def test_mysql_quotes_with_backticks():
    sql = chunk_query("SELECT 1", ["odd`name"], JANUARY, None, MySQL(LOGIN))
    assert "WHERE `odd``name` >= '2024-01-01' AND `odd``name` < '2024-02-01'" in sql


def test_sql_server_gets_dates_independent_of_the_language():
    sql = chunk_query("SELECT 1", ["odd]name"], JANUARY, None, SQLServer(LOGIN))
    assert sql.endswith("WHERE [odd]]name] >= '20240101' AND [odd]]name] < '20240201'")


def test_oracle_gets_dates_with_their_type():
    sql = chunk_query("SELECT 1 FROM dual", ["ORDERED_AT"], JANUARY, None, Oracle(LOGIN))
    assert sql == (
        "SELECT * FROM (\nSELECT 1 FROM dual\n) source\n"
        """WHERE "ORDERED_AT" >= DATE '2024-01-01' AND "ORDERED_AT" < DATE '2024-02-01'"""
    )


@pytest.mark.parametrize("source", [SQLServer, Oracle])
def test_the_lower_bound_uses_the_same_literals(source):
    sql = chunk_query("SELECT 1", ["AT"], None, date(2024, 5, 6), source(LOGIN))
    assert sql.endswith(f">= {source(LOGIN).literal(date(2024, 5, 6))}")


def test_lower_bound_alone():
    sql = chunk_query("SELECT 1", ['odd"name'], None, date(2024, 5, 6), Postgres(LOGIN))
    assert sql.endswith("""WHERE "odd""name" >= '2024-05-06'""")


def test_a_query_with_semicolon_and_comment_can_be_wrapped():
    assert chunk_query(clean(" SELECT 1 -- all\n;\n"), [], None, None, Postgres(LOGIN)) == (
        "SELECT * FROM (\nSELECT 1 -- all\n) source"
    )


def test_column_list():
    assert column_list(None) == column_list("") == []
    assert column_list("year, month") == ["year", "month"]


def test_pieces_from_the_later_of_start_and_lower_bound_to_the_end_of_the_last_day():
    now = datetime(2024, 3, 10, 23, 59, tzinfo=UTC)
    pieces = periods(["at"], date(2024, 2, 5), "month", date(2024, 1, 1), "current_day", now)
    assert [str(piece) for piece in pieces] == ["2024-02-05_2024-03-01", "2024-03-01_2024-03-11"]


def test_no_frequency_is_one_piece():
    assert periods([], None, None, None, None) == [None]


DAY = date(2024, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], None, "month", DAY, DAY), "break_query_frequency: needs partition_columns"),
        ((["at"], None, "month", None, DAY), "break_query_start: needed"),
        ((["at"], None, "month", DAY, None), "break_query_end: needed.*current_day, current_month or current_year"),
        ((["at"], None, "month", DAY, date(2023, 1, 1)), "break_query_end: 2023-01-01 lies before"),
        ((["at"], None, "month", DAY, date.max), "break_query_end: 9999-12-31 is too late"),
        ((["at"], None, "day", date(1900, 1, 1), DAY), "break_query_frequency: day .* more than 10,000"),
        ((["at"], None, None, DAY, None), "break_query_start: has no effect without break_query_frequency"),
        (([], DAY, None, None, None), "lower_bound_date: needs partition_columns"),
    ],
)
def test_parameters_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ParameterError, match=message):
        periods(*arguments)


@pytest.mark.parametrize("text", ["a,,b", "a, a", " ,"])
def test_malformed_partition_columns_are_refused(text):
    with pytest.raises(ParameterError, match="partition_columns"):
        column_list(text)


def test_an_empty_query():
    with pytest.raises(ParameterError, match="execute_query: is empty"):
        clean(" ; ")


@pytest.mark.parametrize("type_", [pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC")])
def test_a_column_of_dates_can_be_cut_into_pieces(type_):
    check_dates("day", pa.schema([("day", type_)]))


@pytest.mark.parametrize(
    "type_", [pa.int32(), pa.int64(), pa.string(), pa.decimal128(8, 0), pa.float64(), pa.time64("us"), pa.bool_()]
)
def test_pieces_by_a_column_without_dates_are_refused(type_):
    with pytest.raises(ParameterError, match=rf"^partition_columns: .* day is of type {re.escape(str(type_))}; .*CAST"):
        check_dates("day", pa.schema([("id", pa.date32()), ("day", type_)]))
