"""Half-open ranges of days, aligned to the calendar."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Frequency = Literal["day", "week", "month", "bimester", "trimester", "quadrimester", "semester", "year"]
Current = Literal["current_day", "current_month", "current_year"]

MONTHS = {"month": 1, "bimester": 2, "trimester": 3, "quadrimester": 4, "semester": 6, "year": 12}
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """The days from `start` up to, but not including, `stop`."""

    start: date
    stop: date

    def __str__(self) -> str:
        return f"{self.start}_{self.stop}"


def split(start: date, stop: date, frequency: Frequency) -> Iterator[Period]:
    """Cut [start, stop) where periods of the calendar begin: on Mondays, on first days of months, of years.

    The first and the last piece may be shorter than a period. Every day is in exactly one piece.
    """
    while start < stop:
        following = min(_next_boundary(start, frequency), stop)
        yield Period(start, following)
        start = following


def day_after(end: date | Current, today: date) -> date:
    """The first day after a range that ends with `end`; the current month or year counts to its last day."""
    match end:
        case "current_day":
            return today + ONE_DAY
        case "current_month":
            return _next_boundary(today, "month")
        case "current_year":
            return _next_boundary(today, "year")
        case _:
            return end + ONE_DAY


def _next_boundary(day: date, frequency: Frequency) -> date:
    if frequency == "day":
        return day + ONE_DAY
    if frequency == "week":
        return day + timedelta(days=7 - day.weekday())
    # all lengths divide twelve, so that a period never spans two years
    length = MONTHS[frequency]
    month = (day.month - 1) // length * length + length
    return date(day.year + month // 12, month % 12 + 1, 1)
