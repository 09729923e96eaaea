"""Which changes of a table's columns between two dumps are safe.

A new column is added, with null in earlier rows. A type may grow to a type that holds every value of the old type.
Any other change would lose or change values, and is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from errors import ParameterError


@dataclass(frozen=True)
class Column:
    """A column of an existing table. `type` is None for types that Arrow does not have, such as uuid or jsonb."""

    type: pa.DataType | None
    # a row is complete without it: the database itself fills it
    filled: bool = False
    # the database's name of the type
    sql_type: str = ""


@dataclass(frozen=True)
class Changes:
    """What a table needs before it can take the new columns."""

    added: tuple[pa.Field, ...]
    widened: tuple[pa.Field, ...]


def holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether `wide` has every value of `narrow`, exactly."""
    if wide == narrow:
        return True
    if pa.types.is_integer(narrow):
        if pa.types.is_integer(wide):
            lowest, highest = _range(wide)
            return lowest <= _range(narrow)[0] and _range(narrow)[1] <= highest
        # a number of a negative scale ends in zeros
        places: int = wide.precision - wide.scale if pa.types.is_decimal(wide) and wide.scale >= 0 else 0
        return places >= len(str(_range(narrow)[1]))
    if pa.types.is_decimal(narrow):
        return bool(
            pa.types.is_decimal(wide)
            and wide.scale >= narrow.scale
            and wide.precision - wide.scale >= narrow.precision - narrow.scale
            and wide.bit_width >= narrow.bit_width
        )
    if pa.types.is_float32(narrow):
        return bool(pa.types.is_float64(wide))
    return bool(pa.types.is_date32(narrow) and wide == pa.timestamp("us"))


def merge(published: pa.Schema, extracted: pa.Schema, table: str, remedy: str) -> pa.Schema:
    """The columns that take both the published and the extracted rows; the published columns come first."""
    existing = {field.name: Column(field.type) for field in published}
    changes = compare(existing, extracted, table, remedy, allow_narrower=False)
    for field in changes.widened:
        published = published.set(published.get_field_index(field.name), field)
    for field in changes.added:
        published = published.append(field)
    return published


def compare(
    existing: Mapping[str, Column], extracted: pa.Schema, table: str, remedy: str, allow_narrower: bool = True
) -> Changes:
    """How the existing columns must change to take the extracted ones.

    Raises ParameterError with all columns that do not fit; `table` and `remedy` are words of its message. A database
    may have wider columns than the dump (`allow_narrower`): someone may have widened them on purpose.
    """
    problems, widened = [], []
    for name, column in existing.items():
        if name not in extracted.names:
            if not column.filled:
                problems.append(f"column {name} ({column.type or 'a type of the database'}) is no longer in the query")
            continue
        field = extracted.field(name)
        if column.type is None or column.type == field.type or (allow_narrower and holds(column.type, field.type)):
            continue
        if holds(field.type, column.type):
            widened.append(field)
        else:
            problems.append(f"column {name} was {column.type} and is {field.type} now")
    if problems:
        raise ParameterError(
            f"execute_query: does not fit {table}: {'; '.join(problems)}; give it as it was (AS, CAST), or {remedy}"
        )
    return Changes(tuple(field for field in extracted if field.name not in existing), tuple(widened))


def _range(type_: pa.DataType) -> tuple[int, int]:
    if pa.types.is_unsigned_integer(type_):
        return 0, 2**type_.bit_width - 1
    return -(2 ** (type_.bit_width - 1)), 2 ** (type_.bit_width - 1) - 1
