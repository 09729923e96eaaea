"""PostgreSQL, filled by binary COPY through ADBC. A load is one transaction: an interrupted load leaves nothing."""

# ruff: noqa: S608 - names are quoted, days are the manifest's
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from drift import Changes, Column
from errors import one_line
from records import Manifest, digest
from stage import Table

from .errors import TargetError, TargetUnavailable, stream
from .names import check_names
from .plan import LEDGER, LEDGER_SCHEMA, LedgerEntry, Plan, Result, empty_replacement, make_plan, plan_rehearsal
from .postgres_catalogue import DIALECT, GRANTS, INDEXES, MAY_DROP_ROWS, SWAPPABLE, columns_of

# Failed and broken connections, deadlocks, a server that is full or stopping
TRANSIENT_ERRORS = ("08", "40", "53", "57P")
LOCK_NOT_AVAILABLE = "55P03"
STAGING = "_db_dump_staging"
DEFAULTS: dict[str, Any] = {"connect_timeout": 10, "application_name": "db_dump"}
# The server cuts off longer names, without an error
MAX_NAME_BYTES = 63


class Postgres:
    """A PostgreSQL database."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        try:
            self._conninfo = make_conninfo(**DEFAULTS | arguments)
        except ProgrammingError as error:
            raise TargetError(f"target_secret_path: {one_line(error)}") from None
        self._location = f"{arguments.get('host', 'localhost')}/{arguments.get('dbname', '')}"

    def check(self, table: Table, draft: Manifest) -> None:
        check_names(draft, MAX_NAME_BYTES, lambda name: len(name.encode()))
        with self._transaction(keep=False) as cursor:
            # other sessions must not wait long for a load that is undone at once
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            try:
                _Load(cursor, table, draft, plan_rehearsal, allow_empty=True).run()
            except adbc.Error as error:
                # somebody uses the table: the check ends without a result, and the load will wait
                if error.sqlstate != LOCK_NOT_AVAILABLE:
                    raise

    def load(self, table: Table, manifest: Manifest, allow_empty: bool = False) -> Result:
        with self._transaction() as cursor:
            return _Load(cursor, table, manifest, make_plan, allow_empty).run()

    @contextmanager
    def _transaction(self, keep: bool = True) -> Iterator[adbc.Cursor]:
        try:
            # closing without a commit rolls back
            with closing(adbc.connect(self._conninfo)) as connection, closing(connection.cursor()) as cursor:
                cursor.execute("SET LOCAL TimeZone = 'UTC'")
                cursor.execute("SET LOCAL statement_timeout = 0")
                yield cursor
                if keep:
                    connection.commit()
        except adbc.Error as error:
            # an error without a code of the server is one of the connection
            broken = isinstance(error, adbc.OperationalError) and not error.sqlstate
            transient = broken or (error.sqlstate or "").startswith(TRANSIENT_ERRORS)
            raise (TargetUnavailable if transient else TargetError)(f"{self._location}: {one_line(error)}") from error


class _Load:
    """One load, inside a transaction. Readers see the old rows until it is committed."""

    def __init__(
        self, cursor: adbc.Cursor, table: Table, manifest: Manifest, planner: Callable[..., Plan], allow_empty: bool
    ) -> None:
        self._cursor, self._table, self._manifest = cursor, table, manifest
        self._planner, self._allow_empty = planner, allow_empty
        self._schema = manifest.dataset_id
        self._name = DIALECT.path(self._schema, manifest.table_id)
        self._ledger = DIALECT.path(self._schema, LEDGER)

    def run(self) -> Result:
        """Make a new table, put a new table in the place of the old one, or put new rows into the old one."""
        self._prepare()
        name, overwrite = self._manifest.table_id, self._manifest.dump_mode == "overwrite"
        schema = self._manifest.schema
        changes = DIALECT.changes(columns_of(self._cursor, self._name), schema, self._name)
        if changes is None:
            plan = self._planner(self._manifest)
            self._cursor.execute(f"CREATE TABLE {self._name} ({', '.join(DIALECT.definitions(schema))})")
            self._fill(name, plan)
        elif overwrite and self._select(SWAPPABLE, self._name) == [(True,)]:
            self._refuse_emptying()
            plan, copy = self._planner(self._manifest), f"_db_dump_{digest(self._name)}"
            self._cursor.execute(f"CREATE TABLE {DIALECT.path(self._schema, copy)} (LIKE {self._name} INCLUDING ALL)")
            self._alter(copy, changes)
            self._fill(copy, plan)
            self._swap(DIALECT.path(self._schema, copy))
        else:
            if overwrite:
                self._refuse_emptying()
            plan = self._planner(self._manifest, self._ledger_entries())
            self._alter(name, changes)
            self._fill(name, plan, replace=overwrite)
        self._cursor.execute(f"DELETE FROM {self._ledger} WHERE table_id = $1", [name])
        self._ingest(LEDGER, [plan.ledger_rows], LEDGER_SCHEMA)
        return Result.from_plan(plan, changes)

    def _refuse_emptying(self) -> None:
        if not self._manifest.rows and not self._allow_empty and self._select(f"SELECT 1 FROM {self._name} LIMIT 1"):
            raise empty_replacement(f"the table {self._name}")

    def _prepare(self) -> None:
        # looked up first, as IF NOT EXISTS needs the right to create even for an existing object
        if not self._select("SELECT 1 FROM pg_namespace WHERE nspname = $1", self._schema):
            self._cursor.execute(f"CREATE SCHEMA {DIALECT.quote(self._schema)}")
        if not columns_of(self._cursor, self._ledger):
            columns = ", ".join(DIALECT.definitions(LEDGER_SCHEMA))
            self._cursor.execute(f"CREATE TABLE {self._ledger} ({columns}, PRIMARY KEY (table_id, chunk_id))")

    def _ledger_entries(self) -> list[LedgerEntry]:
        columns = ", ".join(LEDGER_SCHEMA.names)
        rows = self._select(f"SELECT {columns} FROM {self._ledger} WHERE table_id = $1", self._manifest.table_id)
        return [LedgerEntry(*row) for row in rows]

    def _alter(self, table: str, changes: Changes) -> None:
        actions = [f"ADD COLUMN {definition}" for definition in DIALECT.definitions(changes.added)]
        actions += [
            f"ALTER COLUMN {DIALECT.quote(field.name)} TYPE {DIALECT.sql_type(field)}" for field in changes.widened
        ]
        if actions:
            self._cursor.execute(f"ALTER TABLE {DIALECT.path(self._schema, table)} {', '.join(actions)}")

    def _fill(self, table: str, plan: Plan, replace: bool = False) -> None:
        """Put the rows into the table.

        COPY takes all rows as they are, or fails. Where types need a cast, or triggers may drop rows, the rows come by
        a temporary table, and the INSERT tells how many arrived.
        """
        name, schema = DIALECT.path(self._schema, table), self._manifest.schema
        existing = columns_of(self._cursor, name)
        cast = any(existing[column].type is None for column in schema.names)
        if plan.delete:
            days = " OR ".join(self._days(start, stop) for start, stop in plan.delete)
            self._cursor.execute(f"DELETE FROM {name} WHERE {days}")
        if replace or cast or self._select(MAY_DROP_ROWS, name) == [(True,)]:
            definitions = ", ".join(DIALECT.definitions(schema))
            self._cursor.execute(f"CREATE TEMP TABLE {STAGING} ({definitions}) ON COMMIT DROP")
            staged = columns_of(self._cursor, f"pg_temp.{STAGING}")
            self._ingest(STAGING, *self._rows(plan, staged), temporary=True)
            if replace:
                self._cursor.execute(f"TRUNCATE {name}")
            columns = DIALECT.column_list(schema.names)
            values = ", ".join(f"{DIALECT.quote(column)}::{existing[column].sql_type}" for column in schema.names)
            self._cursor.execute(
                f"INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {STAGING}"
            )
            rows = self._cursor.rowcount
        else:
            rows = self._ingest(table, *self._rows(plan, existing))
        plan.check(rows)

    def _days(self, start: str, stop: str) -> str:
        column = DIALECT.quote(self._manifest.partition_columns[0])
        return f"({column} >= '{start}' AND {column} < '{stop}')"

    def _rows(self, plan: Plan, columns: Mapping[str, Column]) -> tuple[Iterable[pa.RecordBatch], pa.Schema]:
        """The rows to load, each column as the Arrow type of the table's column."""
        schema = pa.schema([(name, columns[name].type) for name in self._manifest.schema.names])
        return self._table.read(self._manifest, plan.load, schema), schema

    def _ingest(self, table: str, rows: Iterable[pa.RecordBatch], schema: pa.Schema, temporary: bool = False) -> int:
        place = {"temporary": True} if temporary else {"db_schema_name": self._schema}
        with stream(rows, schema) as reader:
            count: int = self._cursor.adbc_ingest(table, reader, mode="append", **place)
        return count

    def _swap(self, new: str) -> None:
        for [statement] in self._select(GRANTS, new, self._name):
            self._cursor.execute(statement)
        names = [name for _, name in self._select(INDEXES, self._name)]
        indexes = [index for index, _ in self._select(INDEXES, new)]
        self._cursor.execute(f"DROP TABLE {self._name}")
        self._cursor.execute(f"ALTER TABLE {new} RENAME TO {DIALECT.quote(self._manifest.table_id)}")
        for index, name in zip(indexes, names, strict=True):
            self._cursor.execute(f"ALTER INDEX {index} RENAME TO {DIALECT.quote(name)}")

    def _select(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        self._cursor.execute(query, values or None)
        rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return rows
