"""A table of PostgreSQL to a Parquet file. Only one batch of rows is in memory at a time."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql
from psycopg.postgres import types

BATCH_ROWS = 20_000

# All other types are text as PostgreSQL writes them: uuid, json, interval, arrays, enums, numeric without a precision
ARROW_TYPES = {
    types[name].oid: arrow
    for name, arrow in {
        "bool": pa.bool_(),
        "int2": pa.int16(),
        "int4": pa.int32(),
        "int8": pa.int64(),
        "float4": pa.float32(),
        "float8": pa.float64(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", "UTC"),
        "bytea": pa.binary(),
    }.items()
}


def dump(connection: psycopg.Connection[Any], table: str, file: Path) -> int:
    """Write all rows of the table to the file; returns their number."""
    source = sql.Identifier(*table.split("."))
    schema = schema_of(connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(source)).description or [])
    columns = [
        sql.SQL("{}::text" if pa.types.is_string(field.type) else "{}").format(sql.Identifier(field.name))
        for field in schema
    ]
    # a named cursor is one of the server, which sends the rows in batches
    with connection.cursor("dump") as cursor:
        cursor.execute(sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(columns), source))
        return write(file, schema, iter(lambda: cursor.fetchmany(BATCH_ROWS), []))


def schema_of(columns: Iterable[psycopg.Column]) -> pa.Schema:
    """The columns of the file for the columns of the table."""
    return pa.schema([(column.name, _arrow_type(column)) for column in columns])


def write(file: Path, schema: pa.Schema, batches: Iterable[list[tuple[Any, ...]]]) -> int:
    """Write the rows; returns their number. Readers see the old file until the new file is complete."""
    part, rows = file.with_name(f"{file.name}.part"), 0
    try:
        with pq.ParquetWriter(part, schema) as writer:
            for batch in batches:
                columns = zip(schema, zip(*batch, strict=True), strict=True)
                writer.write_batch(pa.record_batch([pa.array(values, field.type) for field, values in columns], schema))
                rows += len(batch)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return rows


def _arrow_type(column: psycopg.Column) -> pa.DataType:
    precision, scale = column.precision or 0, column.scale or 0
    if column.type_code == types["numeric"].oid and precision and 0 <= scale <= precision <= 38:
        return pa.decimal128(precision, scale)
    return ARROW_TYPES.get(column.type_code, pa.string())
