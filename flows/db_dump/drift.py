"""What may change in a table's columns between one dump and the next, and what may not.

A new column is added, with null in the rows from before. A type may grow to one that holds every value of the old one.
All else would lose or change values, and is refused.
"""

from dataclasses import dataclass

import pyarrow as pa

from query import ParameterError


@dataclass(frozen=True)
class Column:
    """A column that is there. `type` None stands for one that Arrow does not know, such as uuid or jsonb."""

    type: pa.DataType | None
    # a row is whole without it: the database itself fills it
    filled: bool = False


@dataclass(frozen=True)
class Changes:
    """What a table needs before it can take the new columns."""

    added: tuple[pa.Field, ...]
    widened: tuple[pa.Field, ...]


def holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether every value of `narrow` is, exactly, one of `wide`."""
    if wide == narrow:
        return True
    if pa.types.is_integer(narrow):
        if pa.types.is_integer(wide):
            lowest, highest = _range(wide)
            return lowest <= _range(narrow)[0] and _range(narrow)[1] <= highest
        # a number of a negative scale ends in zeros
        places = wide.precision - wide.scale if pa.types.is_decimal(wide) and wide.scale >= 0 else 0
        return places >= len(str(_range(narrow)[1]))
    if pa.types.is_decimal(narrow):
        return (
            pa.types.is_decimal(wide)
            and wide.scale >= narrow.scale
            and wide.precision - wide.scale >= narrow.precision - narrow.scale
            and wide.bit_width >= narrow.bit_width
        )
    if pa.types.is_float32(narrow):
        return pa.types.is_float64(wide)
    return pa.types.is_date32(narrow) and wide == pa.timestamp("us")


def merge(before: pa.Schema, now: pa.Schema, where: str, mend: str) -> pa.Schema:
    """The columns that take both the rows of before and those of now; those of before come first."""
    changes = compare({field.name: Column(field.type) for field in before}, now, where, mend, narrower=False)
    for field in changes.widened:
        before = before.set(before.get_field_index(field.name), field)
    for field in changes.added:
        before = before.append(field)
    return before


def compare(there: dict[str, Column], now: pa.Schema, where: str, mend: str, narrower: bool = True) -> Changes:
    """What must change in the columns that are there to take those of now; all that cannot is told at once.

    A database takes what is narrower than its own column, which someone may have made wider on purpose.
    """
    wrong, widened = [], []
    for name, column in there.items():
        if name not in now.names:
            if not column.filled:
                wrong.append(f"column {name} ({column.type or 'a type of the database'}) is no longer in the query")
            continue
        field = now.field(name)
        if column.type is None or column.type == field.type or (narrower and holds(column.type, field.type)):
            continue
        if holds(field.type, column.type):
            widened.append(field)
        else:
            wrong.append(f"column {name} was {column.type} and is {field.type} now")
    if wrong:
        raise ParameterError(
            f"execute_query: does not fit {where}: {'; '.join(wrong)}; give it as it was (AS, CAST), or {mend}"
        )
    return Changes(tuple(field for field in now if field.name not in there), tuple(widened))


def _range(type_: pa.DataType) -> tuple[int, int]:
    if pa.types.is_unsigned_integer(type_):
        return 0, 2**type_.bit_width - 1
    return -(2 ** (type_.bit_width - 1)), 2 ** (type_.bit_width - 1) - 1
