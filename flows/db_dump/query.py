"""The SQL of each chunk, and the rules between the parameters that shape it."""

from datetime import UTC, date, datetime
from itertools import islice
from typing import Protocol

import pyarrow as pa

from errors import ParameterError
from periods import Current, Frequency, Period, day_after, split

MAX_CHUNKS = 10_000


class Quotes(Protocol):
    """The part of a source that these functions need."""

    def quote(self, identifier: str) -> str: ...


def column_list(partition_columns: str | None) -> list[str]:
    """`year, month` → `["year", "month"]`."""
    columns = [column.strip() for column in (partition_columns or "").split(",")]
    if columns == [""]:
        return []
    if "" in columns or len(set(columns)) < len(columns):
        raise ParameterError(
            f"partition_columns: {partition_columns!r} has an empty or repeated name; "
            "give column names with commas between them"
        )
    return columns


def periods(
    columns: list[str],
    lower_bound_date: date | None,
    frequency: Frequency | None,
    start: date | None,
    end: date | Current | None,
    now: datetime | None = None,
) -> list[Period | None]:
    """The ranges of the first partition column to read; `[None]` where the query is read in one piece."""
    if frequency is None:
        for name, value in {"break_query_start": start, "break_query_end": end}.items():
            if value is not None:
                raise ParameterError(f"{name}: has no effect without break_query_frequency; give both or neither")
        if lower_bound_date and not columns:
            raise ParameterError("lower_bound_date: needs partition_columns, the first of which holds the date")
        return [None]
    if not columns:
        raise ParameterError("break_query_frequency: needs partition_columns, the first of which holds the date")
    bounds = [day for day in (start, lower_bound_date) if day]
    if not bounds:
        raise ParameterError("break_query_start: needed with break_query_frequency; give the first day, YYYY-MM-DD")
    if end is None:
        raise ParameterError(
            "break_query_end: needed with break_query_frequency; "
            "give the last day, YYYY-MM-DD, or current_day, current_month or current_year"
        )
    if isinstance(end, date) and end.year == date.max.year:
        raise ParameterError(f"break_query_end: {end} is too late; give a day before 9999, or current_day")
    first, stop = max(bounds), day_after(end, (now or datetime.now(UTC)).date())
    if first >= stop:
        raise ParameterError(f"break_query_end: {end} lies before the first day, {first}; give a later one")
    pieces: list[Period | None] = list(islice(split(first, stop, frequency), MAX_CHUNKS + 1))
    if len(pieces) > MAX_CHUNKS:
        raise ParameterError(
            f"break_query_frequency: {frequency} from {first} to {end} makes more than {MAX_CHUNKS:,} pieces; "
            "take longer ones"
        )
    return pieces


def check_dates(column: str, columns: pa.Schema) -> None:
    """Raise ParameterError where the column has no dates: a comparison of numbers or texts with days leaves no row."""
    type_ = columns.field(column).type
    if not (pa.types.is_date(type_) or pa.types.is_timestamp(type_)):
        raise ParameterError(
            "partition_columns: break_query_frequency and lower_bound_date need dates in the first column, and "
            f"{column} is of type {type_}; cast it in execute_query (CAST(… AS date)), or name a column of dates first"
        )


def clean(query: str) -> str:
    """The query without a semicolon at its end, to put inside another query."""
    query = query.strip().rstrip("; \t\r\n")
    if not query:
        raise ParameterError("execute_query: is empty; give a SELECT")
    return query


def chunk_query(
    query: str, columns: list[str], period: Period | None, lower_bound_date: date | None, source: Quotes
) -> str:
    """The query, limited to the period or the lower bound.

    The condition uses the bare column, so that the database can use an index on it.
    """
    # without AS before the name, which Oracle does not accept there
    selected = f"SELECT * FROM (\n{query}\n) source"  # noqa: S608 - the query is the user's own, the session read-only
    if not (period or lower_bound_date):
        return selected
    # without a method of the source, the database reads '2024-01-31' as the type of the column
    literal, column = getattr(source, "literal", "'{}'".format), source.quote(columns[0])
    if period:
        return f"{selected}\nWHERE {column} >= {literal(period.start)} AND {column} < {literal(period.stop)}"
    return f"{selected}\nWHERE {column} >= {literal(lower_bound_date)}"
