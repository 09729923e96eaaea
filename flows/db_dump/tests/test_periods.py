from datetime import date, timedelta
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periods import Frequency, Period, day_after, split

FREQUENCIES = get_args(Frequency)
DAYS = st.dates(date(1900, 1, 1), date(2200, 12, 31))


@given(DAYS, st.integers(1, 4000), st.sampled_from(FREQUENCIES))
def test_every_day_is_in_exactly_one_piece(start, length, frequency):
    stop = start + timedelta(days=length)
    pieces = list(split(start, stop, frequency))
    assert pieces[0].start == start
    assert pieces[-1].stop == stop
    assert all(piece.start < piece.stop for piece in pieces)
    assert all(piece.stop == following.start for piece, following in pairwise(pieces))


@given(DAYS, st.integers(1, 4000), st.sampled_from(FREQUENCIES))
def test_inner_boundaries_are_starts_of_periods(start, length, frequency):
    first_months = {"month": 1, "bimester": 2, "trimester": 3, "quadrimester": 4, "semester": 6, "year": 12}
    for piece in list(split(start, start + timedelta(days=length), frequency))[1:]:
        if frequency == "week":
            assert piece.start.weekday() == 0
        elif frequency != "day":
            assert piece.start.day == 1
            assert (piece.start.month - 1) % first_months[frequency] == 0


@given(DAYS, st.integers(1, 4000), st.sampled_from(FREQUENCIES))
def test_no_piece_is_longer_than_a_period(start, length, frequency):
    longest = {"day": 1, "week": 7, "month": 31, "bimester": 62, "trimester": 92, "quadrimester": 123}
    longest |= {"semester": 184, "year": 366}
    pieces = split(start, start + timedelta(days=length), frequency)
    assert max((piece.stop - piece.start).days for piece in pieces) <= longest[frequency]


def test_months_from_the_middle_keep_their_first_days():
    assert list(split(date(2024, 1, 15), date(2024, 4, 1), "month")) == [
        Period(date(2024, 1, 15), date(2024, 2, 1)),
        Period(date(2024, 2, 1), date(2024, 3, 1)),
        Period(date(2024, 3, 1), date(2024, 4, 1)),
    ]


def test_months_from_the_31st():
    assert [str(piece) for piece in split(date(2024, 1, 31), date(2024, 3, 2), "month")] == [
        "2024-01-31_2024-02-01",
        "2024-02-01_2024-03-01",
        "2024-03-01_2024-03-02",
    ]


def test_bimesters_do_not_overlap():
    assert [str(piece) for piece in split(date(2024, 1, 1), date(2024, 7, 1), "bimester")] == [
        "2024-01-01_2024-03-01",
        "2024-03-01_2024-05-01",
        "2024-05-01_2024-07-01",
    ]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (date(2024, 2, 28), date(2024, 2, 29)),
        ("current_day", date(2025, 1, 1)),
        ("current_month", date(2025, 1, 1)),
        ("current_year", date(2025, 1, 1)),
    ],
)
def test_the_last_day_is_included(end, expected):
    assert day_after(end, today=date(2024, 12, 31)) == expected


def test_current_month_and_year_include_their_last_day():
    assert day_after("current_month", today=date(2024, 2, 10)) == date(2024, 3, 1)
    assert day_after("current_year", today=date(2024, 2, 10)) == date(2025, 1, 1)
