"""Which months to load, and where their files are."""

from dataclasses import dataclass, field
from datetime import date

from errors import LoadError
from redaction import shown

# The city of New York publishes a month about two months after its end
MONTHS_BEHIND = 3


@dataclass(frozen=True)
class Month:
    """One file's worth of rows."""

    colour: str
    year: int
    month: int
    address: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.colour}/{self.year}-{self.month:02}"

    @property
    def before(self) -> "Month":
        """The month before; its file is not known."""
        year, month = divmod(self.year * 12 + self.month - 2, 12)
        return Month(self.colour, year, month + 1, "")


def months_to_load(colour: str, year: int | None, months: list[int] | None, address: str, today: date) -> list[Month]:
    """The months asked for, or the latest that is published."""
    if (year is None) != (months is None):
        raise LoadError("year and months: give both, or neither for the latest month that is published")
    if year is None:
        latest = today.year * 12 + today.month - 1 - MONTHS_BEHIND
        year, months = latest // 12, [latest % 12 + 1]
    try:
        there = [Month(colour, year, month, address.format(colour=colour, year=year, month=month)) for month in months]
    except (LookupError, ValueError, AttributeError, TypeError):  # their words may hold what is secret in the address
        raise LoadError(
            f"address: {shown(address)} cannot be filled in; it takes {{colour}}, {{year}} and {{month:02}}, "
            "and other braces twice"
        ) from None
    if len({month.address for month in there}) < len(set(months)):
        raise LoadError(f"address: {shown(address)} is the same for several months; write {{month:02}} into it")
    return list(dict.fromkeys(there))
