"""A DuckDB file. A load is one transaction: what breaks off was never there."""

# ruff: noqa: S608 - names are quoted, days are the manifest's
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

import drift
from drift import Column
from stage import Manifest, Table

from .errors import TargetError, TargetUnavailable, one_line, stream
from .names import check_names
from .plan import LEDGER, LEDGER_SCHEMA, Loaded, Plan, Result, emptied, make_plan, rehearsed

SQL_TYPES = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.date32(): "DATE",
    pa.time64("us"): "TIME",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
    pa.binary(): "BLOB",
    pa.string(): "VARCHAR",
}
ARROW_TYPES = {sql: arrow for arrow, sql in SQL_TYPES.items()}

COLUMNS = """
SELECT column_name, data_type, column_default IS NOT NULL FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = $1 AND table_name = $2
"""
VIEWS = "SELECT 1 FROM duckdb_views() WHERE database_name = current_database() AND schema_name = $1 AND view_name = $2"


class DuckDB:
    """A DuckDB database; one process at a time may have it open to write."""

    def __init__(self, arguments: dict) -> None:
        self._arguments = arguments
        self._path = arguments.get("database", "")
        if not Path(self._path).is_absolute():
            raise TargetError('target_secret_path: the secret must give "database", the absolute path of a DuckDB file')

    def check(self, table: Table, draft: Manifest) -> None:
        check_names(draft)
        # connecting would make the file
        place = self._path if Path(self._path).exists() else ":memory:"
        with self._transaction(place) as connection:
            _load(connection, table, draft, rehearsed, allow_empty=True)
            connection.rollback()

    def load(self, table: Table, manifest: Manifest, allow_empty: bool = False) -> Result:
        with self._transaction(self._path) as connection:
            result = _load(connection, table, manifest, make_plan, allow_empty)
            connection.commit()
        return result

    @contextmanager
    def _transaction(self, place: str) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            # closing without a commit rolls back
            with closing(duckdb.connect(**self._arguments | {"database": place})) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.begin()
                yield connection
        except duckdb.Error as error:
            if "Could not set lock" in str(error):
                raise TargetUnavailable(f"{self._path}: another process has it open; close it, or wait") from error
            raise TargetError(f"{self._path}: {one_line(error)}") from error


def _load(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    manifest: Manifest,
    plan: Callable[..., Plan],
    allow_empty: bool,
) -> Result:
    name, ledger = _name(manifest.dataset_id, manifest.table_id), _name(manifest.dataset_id, LEDGER)
    schema, overwrite = manifest.schema, manifest.dump_mode == "overwrite"
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quote(manifest.dataset_id)}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {ledger} ({', '.join(_definitions(LEDGER_SCHEMA))})")
    changes = _changes(connection, manifest.dataset_id, manifest.table_id, schema)
    if changes is None:
        todo = plan(manifest)
        connection.execute(f"CREATE TABLE {name} ({', '.join(_definitions(schema))})")
    else:
        loaded = connection.execute(f"SELECT * FROM {ledger} WHERE table_id = $1", [manifest.table_id]).fetchall()
        todo = plan(manifest, [Loaded(*row) for row in loaded])
        for definition in _definitions(changes.added):
            connection.execute(f"ALTER TABLE {name} ADD COLUMN {definition}")
        for field in changes.widened:
            connection.execute(f"ALTER TABLE {name} ALTER COLUMN {_quote(field.name)} TYPE {_sql_type(field)}")
        column = _quote(manifest.partition_columns[0]) if todo.delete else None
        for start, stop in todo.delete:
            connection.execute(f"DELETE FROM {name} WHERE {column} >= '{start}' AND {column} < '{stop}'")
        if overwrite:
            rows = connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchall()
            if rows and not manifest.rows and not allow_empty:
                raise emptied(name)
            connection.execute(f"DELETE FROM {name}")
    todo.check(_insert(connection, name, table, manifest, todo))
    connection.execute(f"DELETE FROM {ledger} WHERE table_id = $1", [manifest.table_id])
    connection.register("entries", todo.ledger_rows)
    connection.execute(f"INSERT INTO {ledger} SELECT * FROM entries")
    return Result.of(todo, changes)


def _insert(connection: duckdb.DuckDBPyConnection, name: str, table: Table, manifest: Manifest, todo: Plan) -> int:
    types = _columns(connection, manifest.dataset_id, manifest.table_id)
    columns = ", ".join(_quote(column) for column in manifest.schema.names)
    values = ", ".join(f"{_quote(column)}::{types[column][1]}" for column in manifest.schema.names)
    rows = table.read(manifest, todo.load, manifest.schema)
    with stream(rows, manifest.schema) as reader:
        connection.register("rows", reader)
        [(count,)] = connection.execute(f"INSERT INTO {name} ({columns}) SELECT {values} FROM rows").fetchall()
        connection.unregister("rows")
    return count


def _changes(
    connection: duckdb.DuckDBPyConnection, dataset_id: str, table_id: str, schema: pa.Schema
) -> drift.Changes | None:
    """What the table there needs to take the columns; None where there is no table."""
    if connection.execute(VIEWS, [dataset_id, table_id]).fetchall():
        raise TargetError(f"table_id: {_name(dataset_id, table_id)} is a view there; take another, or drop it")
    there = {name: column for name, (column, _) in _columns(connection, dataset_id, table_id).items()}
    if not there:
        _definitions(schema)
        return None
    return drift.compare(there, schema, f"the table {_name(dataset_id, table_id)}", "alter or drop that table")


def _columns(connection: duckdb.DuckDBPyConnection, dataset_id: str, table_id: str) -> dict[str, tuple[Column, str]]:
    rows = connection.execute(COLUMNS, [dataset_id, table_id]).fetchall()
    return {name: (Column(_arrow_type(type_), filled), type_) for name, type_, filled in rows}


def _arrow_type(type_: str) -> pa.DataType | None:
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_):
        return pa.decimal128(*map(int, decimal.groups()))
    return ARROW_TYPES.get(type_)


def _sql_type(field: pa.Field) -> str:
    if pa.types.is_decimal128(field.type):
        return f"DECIMAL({field.type.precision},{field.type.scale})"
    if field.type not in SQL_TYPES:
        raise TargetError(f"column {field.name}: DuckDB has no {field.type}; cast it to text in execute_query")
    return SQL_TYPES[field.type]


def _definitions(fields: pa.Schema | tuple[pa.Field, ...]) -> list[str]:
    return [f"{_quote(field.name)} {_sql_type(field)}" for field in fields]


def _name(schema: str, table: str) -> str:
    return f"{_quote(schema)}.{_quote(table)}"


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
