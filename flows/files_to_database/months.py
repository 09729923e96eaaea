"""Which months to load, and where their files are."""

from dataclasses import dataclass
from datetime import date

from errors import LoadError

# The city of New York publishes a month about two months after its end
MONTHS_BEHIND = 3


@dataclass(frozen=True)
class Month:
    """One file's worth of rows."""

    colour: str
    year: int
    month: int
    address: str

    def __str__(self) -> str:
        return f"{self.colour}/{self.year}-{self.month:02}"


def months_to_load(colour: str, year: int | None, months: list[int] | None, address: str, today: date) -> list[Month]:
    """The months asked for, or the latest that is published."""
    if (year is None) != (months is None):
        raise LoadError("year and months: give both, or neither for the latest month that is published")
    if year is None:
        latest = today.year * 12 + today.month - 1 - MONTHS_BEHIND
        year, months = latest // 12, [latest % 12 + 1]
    try:
        found = [Month(colour, year, month, address.format(colour=colour, year=year, month=month)) for month in months]
    except (KeyError, IndexError, ValueError) as error:
        raise LoadError(
            f"address: {address} cannot be filled in ({error}); it takes {{colour}}, {{year}} and {{month:02}}"
        ) from None
    if len({each.address for each in found}) < len(set(months)):
        raise LoadError(f"address: {address} is the same for several months; write {{month:02}} into it")
    return list(dict.fromkeys(found))
