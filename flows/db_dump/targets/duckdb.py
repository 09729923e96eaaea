"""A DuckDB file. A load is one transaction: an interrupted load leaves nothing."""

# ruff: noqa: S608 - names are quoted, days are the manifest's
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from drift import Column
from errors import one_line
from records import Manifest
from stage import Table

from .dialect import Dialect
from .errors import TargetError, TargetUnavailable, stream
from .names import check_names
from .plan import LEDGER, LEDGER_SCHEMA, LedgerEntry, Plan, Result, empty_replacement, make_plan, plan_rehearsal

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
DIALECT = Dialect("DuckDB", SQL_TYPES, "DECIMAL")

COLUMNS = """
SELECT column_name, data_type, column_default IS NOT NULL FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = $1 AND table_name = $2
"""
VIEWS = "SELECT 1 FROM duckdb_views() WHERE database_name = current_database() AND schema_name = $1 AND view_name = $2"


class DuckDB:
    """A DuckDB database; one process at a time may have it open to write."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._path = arguments.get("database", "")
        if not Path(self._path).is_absolute():
            raise TargetError('target_secret_path: the secret must give "database", the absolute path of a DuckDB file')

    def check(self, table: Table, draft: Manifest) -> None:
        check_names(draft)
        # connecting would make the file
        place = self._path if Path(self._path).exists() else ":memory:"
        with self._transaction(place) as connection:
            _load(connection, table, draft, plan_rehearsal, allow_empty=True)
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
    planner: Callable[..., Plan],
    allow_empty: bool,
) -> Result:
    name, ledger = DIALECT.path(manifest.dataset_id, manifest.table_id), DIALECT.path(manifest.dataset_id, LEDGER)
    schema, overwrite = manifest.schema, manifest.dump_mode == "overwrite"
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {DIALECT.quote(manifest.dataset_id)}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {ledger} ({', '.join(DIALECT.definitions(LEDGER_SCHEMA))})")
    if connection.execute(VIEWS, [manifest.dataset_id, manifest.table_id]).fetchall():
        raise TargetError(f"table_id: {name} is a view there; take another, or drop it")
    changes = DIALECT.changes(_columns(connection, manifest), schema, name)
    if changes is None:
        plan = planner(manifest)
        connection.execute(f"CREATE TABLE {name} ({', '.join(DIALECT.definitions(schema))})")
    else:
        entries = connection.execute(f"SELECT * FROM {ledger} WHERE table_id = $1", [manifest.table_id]).fetchall()
        plan = planner(manifest, [LedgerEntry(*row) for row in entries])
        for definition in DIALECT.definitions(changes.added):
            connection.execute(f"ALTER TABLE {name} ADD COLUMN {definition}")
        for field in changes.widened:
            column = f"{DIALECT.quote(field.name)} TYPE {DIALECT.sql_type(field)}"
            connection.execute(f"ALTER TABLE {name} ALTER COLUMN {column}")
        for start, stop in plan.delete:
            day = DIALECT.quote(manifest.partition_columns[0])
            connection.execute(f"DELETE FROM {name} WHERE {day} >= '{start}' AND {day} < '{stop}'")
        if overwrite:
            rows = connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchall()
            if rows and not manifest.rows and not allow_empty:
                raise empty_replacement(name)
            connection.execute(f"DELETE FROM {name}")
    plan.check(_insert(connection, name, table, manifest, plan))
    connection.execute(f"DELETE FROM {ledger} WHERE table_id = $1", [manifest.table_id])
    connection.register("entries", plan.ledger_rows)
    connection.execute(f"INSERT INTO {ledger} SELECT * FROM entries")
    return Result.from_plan(plan, changes)


def _insert(connection: duckdb.DuckDBPyConnection, name: str, table: Table, manifest: Manifest, plan: Plan) -> int:
    existing = _columns(connection, manifest)
    columns = DIALECT.column_list(manifest.schema.names)
    values = ", ".join(f"{DIALECT.quote(column)}::{existing[column].sql_type}" for column in manifest.schema.names)
    rows = table.read(manifest, plan.load, manifest.schema)
    with stream(rows, manifest.schema) as reader:
        connection.register("rows", reader)
        count: int
        [(count,)] = connection.execute(f"INSERT INTO {name} ({columns}) SELECT {values} FROM rows").fetchall()
        connection.unregister("rows")
    return count


def _columns(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> dict[str, Column]:
    """The columns of the manifest's table in the database; none where it does not exist."""
    rows = connection.execute(COLUMNS, [manifest.dataset_id, manifest.table_id]).fetchall()
    return {name: Column(_arrow_type(type_), filled, type_) for name, type_, filled in rows}


def _arrow_type(type_: str) -> pa.DataType | None:
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_):
        return pa.decimal128(*map(int, decimal.groups()))
    return ARROW_TYPES.get(type_)
