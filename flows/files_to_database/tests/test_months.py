from datetime import date

import pytest

from errors import LoadError
from months import months_to_load

ADDRESS = "https://example.org/{colour}_{year}-{month:02}.parquet"
TODAY = date(2026, 1, 20)


def test_each_month_has_its_file_once():
    january, may = months_to_load("green", 2024, [1, 5, 1], ADDRESS, TODAY)
    assert january.address == "https://example.org/green_2024-01.parquet"
    assert str(may) == "green/2024-05"


def test_by_default_the_latest_published_month():
    [month] = months_to_load("yellow", None, None, ADDRESS, TODAY)
    assert str(month) == "yellow/2025-10"


@pytest.mark.parametrize(
    ("year", "months", "address", "message"),
    [
        (2024, None, ADDRESS, "year and months: give both, or neither"),
        (None, [1], ADDRESS, "year and months: give both, or neither"),
        (
            2024,
            [1],
            "https://me:pw@example.org/{color}?sig=s",
            r"^address: https://example\.org/{color} cannot be filled",
        ),
        (
            2024,
            [1],
            "https://me:pw@example.org/{colour.x}?sig=s",
            r"^address: https://example\.org/.* it takes {colour}",
        ),
        (2024, [1], "https://example.org/{", "address: .* cannot be filled in"),
        (2024, [1, 2], "https://example.org/{year}.csv", "address: .* is the same for several months"),
    ],
)
def test_parameters_that_name_no_files(year, months, address, message):
    with pytest.raises(LoadError, match=message):
        months_to_load("yellow", year, months, address, TODAY)


def test_the_month_before():
    for month in months_to_load("yellow", 2024, [1, 12], ADDRESS, TODAY):
        assert str(month.before) == {1: "yellow/2023-12", 12: "yellow/2024-11"}[month.month]
