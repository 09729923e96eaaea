"""Snowflake's types, and its description of a table."""

import re
from typing import Any

import pyarrow as pa
from snowflake import connector
from snowflake.connector import errors

from drift import Changes, Column

from .dialect import REMEDY, Dialect
from .errors import TargetError

NO_SUCH_OBJECT = {2003, 2043}
SEMI_STRUCTURED = {"VARIANT", "OBJECT", "ARRAY"}

INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())
SQL_TYPES = dict.fromkeys(INTEGERS, "NUMBER(38,0)") | {
    pa.bool_(): "BOOLEAN",
    pa.uint64(): "NUMBER(20,0)",
    pa.float32(): "FLOAT",
    pa.float64(): "FLOAT",
    pa.date32(): "DATE",
    pa.time64("us"): "TIME(6)",
    pa.timestamp("us"): "TIMESTAMP_NTZ(6)",
    pa.timestamp("us", "UTC"): "TIMESTAMP_TZ(6)",
    pa.binary(): "BINARY",
    pa.string(): "VARCHAR",
}
ARROW_TYPES = {
    "BOOLEAN": pa.bool_(),
    "FLOAT": pa.float64(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "TIMESTAMP_LTZ": pa.timestamp("us", "UTC"),
    "TIMESTAMP_TZ": pa.timestamp("us", "UTC"),
    "BINARY": pa.binary(),
    "VARCHAR": pa.string(),
}
# Names are in capitals there, as Snowflake takes names that are not quoted
DIALECT = Dialect("Snowflake", SQL_TYPES, "NUMBER", upper_case=True)


def columns_of(connection: connector.SnowflakeConnection, table: str) -> dict[str, Column]:
    """The columns of the table; none where it does not exist."""
    with connection.cursor(connector.DictCursor) as cursor:
        try:
            cursor.execute(f"DESCRIBE TABLE {table}")
        except errors.ProgrammingError as error:
            if error.errno in NO_SUCH_OBJECT:
                return {}
            raise
        rows: list[dict[str, Any]] = cursor.fetchall()
    return {row["name"]: Column(_arrow_type(row["type"]), row["default"] is not None, row["type"]) for row in rows}


def changes_of(existing: dict[str, Column], schema: pa.Schema, table: str) -> Changes | None:
    """How the existing columns must change to take those of the schema; None where the table does not exist.

    Raises TargetError or ParameterError where the table cannot take them: Snowflake widens numbers of one scale only.
    """
    changes = DIALECT.changes(existing, schema, table)
    for field in changes.widened if changes else ():
        column = existing[field.name]
        if not _same_scale(column.type, field.type):
            raise TargetError(
                f"column {field.name} of {table}: Snowflake cannot make {column.sql_type} a {field.type}; {REMEDY}"
            )
    return changes


def cast_to(column: Column, value: str) -> str:
    """The staged value as the table's column takes it, where Arrow does not have the column's type."""
    if column.type is not None:
        return value
    text = f"PARSE_JSON({value})" if column.sql_type in SEMI_STRUCTURED else value
    return f"{text}::{column.sql_type}"


def _same_scale(type_: pa.DataType | None, wider: pa.DataType) -> bool:
    return type_ is not None and pa.types.is_decimal128(type_) and bool(type_.scale == wider.scale)


def _arrow_type(type_: str) -> pa.DataType | None:
    if number := re.fullmatch(r"NUMBER\((\d+),(\d+)\)", type_):
        return pa.decimal128(*map(int, number.groups()))
    return ARROW_TYPES.get(type_.partition("(")[0])
