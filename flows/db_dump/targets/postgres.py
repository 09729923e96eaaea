"""PostgreSQL, filled by binary COPY through ADBC. A load is one transaction: what breaks off was never there."""

# ruff: noqa: S608 - names are quoted, days are the manifest's
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

import drift
from stage import Manifest, Table, digest

from .errors import TargetError, TargetUnavailable, one_line, stream
from .names import check_names
from .plan import LEDGER, LEDGER_SCHEMA, Loaded, Plan, Result, emptied, make_plan, rehearsed
from .postgres_catalogue import GRANTS, INDEXES, MAY_DROP_ROWS, SWAPPABLE, columns_of, quote, sql_type

# Connections that failed or broke off, deadlocks, a server without room or about to stop
PASSING_ERRORS = ("08", "40", "53", "57P")
LOCK_NOT_AVAILABLE = "55P03"
STAGING = "_db_dump_staging"
# The server cuts off what is more, without an error
MOST_BYTES = 63


class Postgres:
    """A PostgreSQL database."""

    def __init__(self, arguments: dict) -> None:
        try:
            self._conninfo = make_conninfo(**{"connect_timeout": 10, "application_name": "db_dump"} | arguments)
        except ProgrammingError as error:
            raise TargetError(f"target_secret_path: {one_line(error)}") from None
        self._where = f"{arguments.get('host', 'localhost')}/{arguments.get('dbname', '')}"

    def check(self, table: Table, draft: Manifest) -> None:
        check_names(draft, MOST_BYTES, lambda name: len(name.encode()))
        with self._transaction(keep=False) as cursor:
            # those who want the table must not wait for long for what is undone at once
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            try:
                _Load(cursor, table, draft, rehearsed, allow_empty=True).run()
            except adbc.Error as error:
                # somebody uses the table: no verdict, and the load will wait for them
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
            # an error that the server gave no code for is one of the connection
            broken = isinstance(error, adbc.OperationalError) and not error.sqlstate
            passing = broken or (error.sqlstate or "").startswith(PASSING_ERRORS)
            raise (TargetUnavailable if passing else TargetError)(f"{self._where}: {one_line(error)}") from error


class _Load:
    """One load, inside a transaction. Readers see the old rows until it is committed."""

    def __init__(
        self, cursor: adbc.Cursor, table: Table, manifest: Manifest, plan: Callable[..., Plan], allow_empty: bool
    ) -> None:
        self._cursor, self._table, self._manifest = cursor, table, manifest
        self._plan, self._allow_empty = plan, allow_empty
        self._schema = manifest.dataset_id
        self._name, self._ledger = _name(self._schema, manifest.table_id), _name(self._schema, LEDGER)

    def run(self) -> Result:
        """A new table, one that takes the place of the old one, or new rows in the old one."""
        self._prepare()
        name, overwrite = self._manifest.table_id, self._manifest.dump_mode == "overwrite"
        changes = _changes(self._cursor, self._name, self._manifest.schema)
        if changes is None:
            todo = self._plan(self._manifest)
            self._cursor.execute(f"CREATE TABLE {self._name} ({', '.join(_definitions(self._manifest.schema))})")
            self._fill(name, todo)
        elif overwrite and self._select(SWAPPABLE, self._name) == [(True,)]:
            self._refuse_emptying()
            todo, copy = self._plan(self._manifest), f"_db_dump_{digest(self._name)}"
            self._cursor.execute(f"CREATE TABLE {_name(self._schema, copy)} (LIKE {self._name} INCLUDING ALL)")
            self._alter(copy, changes)
            self._fill(copy, todo)
            self._swap(_name(self._schema, copy))
        else:
            if overwrite:
                self._refuse_emptying()
            todo = self._plan(self._manifest, self._loaded())
            self._alter(name, changes)
            self._fill(name, todo, replace=overwrite)
        self._cursor.execute(f"DELETE FROM {self._ledger} WHERE table_id = $1", [name])
        self._ingest(LEDGER, [todo.ledger_rows], LEDGER_SCHEMA)
        return Result.of(todo, changes)

    def _refuse_emptying(self) -> None:
        if not self._manifest.rows and not self._allow_empty and self._select(f"SELECT 1 FROM {self._name} LIMIT 1"):
            raise emptied(f"the table {self._name}")

    def _prepare(self) -> None:
        # asked first, as IF NOT EXISTS wants the right to create even what is there
        if not self._select("SELECT 1 FROM pg_namespace WHERE nspname = $1", self._schema):
            self._cursor.execute(f"CREATE SCHEMA {quote(self._schema)}")
        if not columns_of(self._cursor, self._ledger):
            columns = ", ".join(_definitions(LEDGER_SCHEMA))
            self._cursor.execute(f"CREATE TABLE {self._ledger} ({columns}, PRIMARY KEY (table_id, chunk_id))")

    def _loaded(self) -> list[Loaded]:
        columns = ", ".join(LEDGER_SCHEMA.names)
        rows = self._select(f"SELECT {columns} FROM {self._ledger} WHERE table_id = $1", self._manifest.table_id)
        return [Loaded(*row) for row in rows]

    def _alter(self, table: str, changes: drift.Changes) -> None:
        actions = [f"ADD COLUMN {definition}" for definition in _definitions(changes.added)]
        actions += [f"ALTER COLUMN {quote(field.name)} TYPE {sql_type(field)}" for field in changes.widened]
        if actions:
            self._cursor.execute(f"ALTER TABLE {_name(self._schema, table)} {', '.join(actions)}")

    def _fill(self, table: str, todo: Plan, replace: bool = False) -> None:
        """Put the rows into the table. COPY takes all of them as they are, or fails; where that does not do, as types
        need a cast or triggers may drop rows, they come by a temporary table, and the INSERT tells how many came."""
        name, schema = _name(self._schema, table), self._manifest.schema
        there = columns_of(self._cursor, name)
        cast = any(there[column][0].type is None for column in schema.names)
        if todo.delete:
            days = " OR ".join(self._days(start, stop) for start, stop in todo.delete)
            self._cursor.execute(f"DELETE FROM {name} WHERE {days}")
        if replace or cast or self._select(MAY_DROP_ROWS, name) == [(True,)]:
            self._cursor.execute(f"CREATE TEMP TABLE {STAGING} ({', '.join(_definitions(schema))}) ON COMMIT DROP")
            staged = columns_of(self._cursor, f"pg_temp.{STAGING}")
            self._ingest(STAGING, *self._rows(todo, staged), temporary=True)
            if replace:
                self._cursor.execute(f"TRUNCATE {name}")
            columns = ", ".join(quote(column) for column in schema.names)
            values = ", ".join(f"{quote(column)}::{there[column][1]}" for column in schema.names)
            self._cursor.execute(
                f"INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {STAGING}"
            )
            rows = self._cursor.rowcount
        else:
            rows = self._ingest(table, *self._rows(todo, there))
        todo.check(rows)

    def _days(self, start: str, stop: str) -> str:
        column = quote(self._manifest.partition_columns[0])
        return f"({column} >= '{start}' AND {column} < '{stop}')"

    def _rows(self, todo: Plan, there: dict) -> tuple[Iterable[pa.RecordBatch], pa.Schema]:
        """The rows to load, each column as Arrow has the type of the table's column."""
        wanted = pa.schema([(name, there[name][0].type) for name in self._manifest.schema.names])
        return self._table.read(self._manifest, todo.load, wanted), wanted

    def _ingest(self, table: str, rows: Iterable[pa.RecordBatch], schema: pa.Schema, temporary: bool = False) -> int:
        place = {"temporary": True} if temporary else {"db_schema_name": self._schema}
        with stream(rows, schema) as reader:
            return self._cursor.adbc_ingest(table, reader, mode="append", **place)

    def _swap(self, new: str) -> None:
        for [statement] in self._select(GRANTS, new, self._name):
            self._cursor.execute(statement)
        names = [name for _, name in self._select(INDEXES, self._name)]
        indexes = [index for index, _ in self._select(INDEXES, new)]
        self._cursor.execute(f"DROP TABLE {self._name}")
        self._cursor.execute(f"ALTER TABLE {new} RENAME TO {quote(self._manifest.table_id)}")
        for index, name in zip(indexes, names, strict=True):
            self._cursor.execute(f"ALTER INDEX {index} RENAME TO {quote(name)}")

    def _select(self, query: str, *values: str) -> list[tuple]:
        self._cursor.execute(query, values or None)
        return self._cursor.fetchall()


def _name(schema: str, table: str) -> str:
    return f"{quote(schema)}.{quote(table)}"


def _definitions(fields: Iterable[pa.Field]) -> list[str]:
    return [f"{quote(field.name)} {sql_type(field)}" for field in fields]


def _changes(cursor: adbc.Cursor, name: str, schema: pa.Schema) -> drift.Changes | None:
    """What the table there needs to take the columns; None where there is no table."""
    there = {column: description for column, (description, _) in columns_of(cursor, name).items()}
    if not there:
        _definitions(schema)
        return None
    return drift.compare(there, schema, f"the table {name}", "alter or drop that table")
