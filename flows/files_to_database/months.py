"""Which months to load, and where their files are."""

from dataclasses import dataclass, field
from datetime import date

from errors import LoadError
from redaction import shown

# The city of New York publishes a month about two months after its end
MONTHS_BEHIND = 3


@dataclass(frozen=True)
class Month:
    """A month, whose rows are one file."""

    colour: str
    year: int
    month: int
    address: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.colour}/{self.year}-{self.month:02}"

    @property
    def before(self) -> "Month":
        """The month before, without the address of its file."""
        year, month = divmod(self.year * 12 + self.month - 2, 12)
        return Month(self.colour, year, month + 1, "")


def months_to_load(colour: str, year: int | None, months: list[int] | None, address: str, today: date) -> list[Month]:
    """The months of the parameters, or the latest published month. Raises LoadError for parameters that do not fit."""
    if (year is None) != (months is None):
        raise LoadError("year and months: give both, or neither for the latest published month")
    if year is None or months is None:
        latest = today.year * 12 + today.month - 1 - MONTHS_BEHIND
        year, months = latest // 12, [latest % 12 + 1]
    try:
        addresses = [address.format(colour=colour, year=year, month=month) for month in months]
    except (LookupError, ValueError, AttributeError, TypeError):  # their messages may contain secrets of the address
        raise LoadError(
            f"address: {shown(address)} cannot be filled in; it takes {{colour}}, {{year}} and {{month:02}}, "
            "and any other brace doubled"
        ) from None
    if len(set(addresses)) < len(set(months)):
        raise LoadError(f"address: {shown(address)} is the same for several months; write {{month:02}} into it")
    return [Month(colour, year, month, address) for month, address in dict(zip(months, addresses, strict=True)).items()]
