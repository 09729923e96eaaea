"""How a target's SQL writes names and types, and which changes an existing table needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

import drift
from drift import Changes, Column

from .errors import TargetError

REMEDY = "alter or drop that table"


@dataclass(frozen=True)
class Dialect:
    """The names and types of a database."""

    database: str
    # all but decimals
    types: Mapping[pa.DataType, str]
    decimal: str
    # 128 for up to 38 digits, 256 for up to 76
    decimal_bits: int = 128
    upper_case: bool = False

    def quote(self, identifier: str) -> str:
        """The identifier as SQL writes it."""
        return '"' + self.fold(identifier).replace('"', '""') + '"'

    def fold(self, identifier: str) -> str:
        """The identifier as the database keeps it."""
        return identifier.upper() if self.upper_case else identifier

    def path(self, *identifiers: str) -> str:
        """The name of an object inside others: `"schema"."table"`."""
        return ".".join(map(self.quote, identifiers))

    def column_list(self, names: Iterable[str]) -> str:
        """`"id", "day"`."""
        return ", ".join(map(self.quote, names))

    def sql_type(self, field: pa.Field) -> str:
        """The type that holds every value of the column. Raises TargetError where the database has none."""
        if pa.types.is_decimal(field.type) and field.type.bit_width <= self.decimal_bits:
            return f"{self.decimal}({field.type.precision},{field.type.scale})"
        if field.type not in self.types:
            raise TargetError(
                f"column {field.name}: {self.database} has no {field.type}; cast it to text in execute_query"
            )
        return self.types[field.type]

    def definitions(self, fields: Iterable[pa.Field]) -> list[str]:
        """The columns as CREATE TABLE takes them."""
        return [f"{self.quote(field.name)} {self.sql_type(field)}" for field in fields]

    def changes(self, existing: Mapping[str, Column], schema: pa.Schema, table: str) -> Changes | None:
        """How the existing columns must change to take those of the schema; None where the table does not exist.

        Raises TargetError or ParameterError where the table cannot take them.
        """
        self.definitions(schema)
        if not existing:
            return None
        folded = pa.schema([(self.fold(field.name), field.type) for field in schema])
        return drift.compare(existing, folded, f"the table {table}", REMEDY)
