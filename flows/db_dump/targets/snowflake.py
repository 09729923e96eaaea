"""Snowflake: files go to a temporary stage, then to a temporary table, and from there to the table in one transaction.

Snowflake commits changes of tables and columns immediately, so they come before that transaction. Stage and temporary
table end with the session.
"""

# ruff: noqa: S608 - names are quoted, days are the manifest's
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from snowflake import connector
from snowflake.connector import errors

from drift import Changes, Column
from errors import one_line
from records import Manifest, Record
from stage import Table

from .errors import TargetError, TargetUnavailable
from .names import check_names
from .plan import LEDGER, LEDGER_SCHEMA, LedgerEntry, Plan, Result, empty_replacement, make_plan
from .snowflake_catalogue import DIALECT, NO_SUCH_OBJECT, cast_to, changes_of, columns_of

# The limit of COPY
FILES_PER_COPY = 1000
MAX_NAME_LENGTH = 255
FILE_FORMAT = "TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE"


class Snowflake:
    """A Snowflake database."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        if missing := {"account", "user", "database", "warehouse"} - arguments.keys():
            raise TargetError(f"target_secret_path: the secret lacks {', '.join(sorted(missing))}")
        self._database = arguments["database"]
        self._location = f"{arguments['account']}/{self._database}"
        defaults: dict[str, Any] = {"login_timeout": 60, "network_timeout": 600, "application": "db_dump"}
        self._arguments = defaults | arguments | {"session_parameters": {"TIMEZONE": "UTC"}}
        pem, passphrase = self._arguments.pop("private_key", None), self._arguments.pop("passphrase", None)
        if pem:
            self._arguments["private_key"] = _key(pem, passphrase)

    def check(self, table: Table, draft: Manifest) -> None:
        check_names(draft, MAX_NAME_LENGTH, len, DIALECT.fold)
        with self._connect() as connection:
            _Load(connection, self._database, table, draft).rehearse()

    def load(self, table: Table, manifest: Manifest, allow_empty: bool = False) -> Result:
        with self._connect() as connection:
            return _Load(connection, self._database, table, manifest).run(allow_empty)

    @contextmanager
    def _connect(self) -> Iterator[connector.SnowflakeConnection]:
        try:
            with closing(connector.connect(**self._arguments)) as connection:
                yield connection
        except errors.Error as error:
            transient = isinstance(error, errors.OperationalError | errors.InterfaceError | errors.HttpError)
            message = one_line(error.raw_msg or error.msg)
            raise (TargetUnavailable if transient else TargetError)(f"{self._location}: {message}") from error


class _Load:
    """One load, in its own session."""

    def __init__(
        self, connection: connector.SnowflakeConnection, database: str, table: Table, manifest: Manifest
    ) -> None:
        self._connection, self._table, self._manifest = connection, table, manifest
        self._schema, self._place = manifest.schema, DIALECT.path(database, manifest.dataset_id)
        # the columns' names in the staged files: a path to a column cannot hold quotation marks
        plain = all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in self._schema.names)
        self._staged = self._schema.names if plain else [f"c{number}" for number in range(len(self._schema))]
        self._name = DIALECT.path(database, manifest.dataset_id, manifest.table_id)
        self._ledger = DIALECT.path(database, manifest.dataset_id, LEDGER)
        # new names for each attempt: Snowflake's memory of files loaded before then has no effect
        token = secrets.token_hex(4)
        self._stage, self._staging = f"_DB_DUMP_STAGE_{token}", f"_DB_DUMP_STAGING_{token}"

    def run(self, allow_empty: bool) -> Result:
        existing, changes = self._prepare()
        plan = make_plan(self._manifest, self._ledger_entries())
        overwrite = self._manifest.dump_mode == "overwrite"
        if overwrite and not plan.rows and not allow_empty and self._execute(f"SELECT 1 FROM {self._name} LIMIT 1"):
            raise empty_replacement(f"the table {self._name}")
        self._execute(f"CREATE TEMPORARY STAGE {self._stage}")
        self._make_staging()
        plan.check(self._copy(list(self._put(plan.load))))
        with self._transaction():
            self._replace(plan, existing)
            self._execute("COMMIT")
        return Result.from_plan(plan, changes)

    def rehearse(self) -> None:
        """Try the load without rows, and undo it.

        New tables and columns cannot be undone: columns are only compared.
        """
        existing = columns_of(self._connection, self._name)
        changes = changes_of(existing, self._schema, self._name)
        if not self._uses_schema():
            return
        self._make_staging()
        if existing and columns_of(self._connection, self._ledger):
            make_plan(self._manifest, self._ledger_entries())
        if changes and not changes.added and not changes.widened:
            with self._transaction():
                self._insert(existing)
                self._execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN")
        try:
            yield
        except BaseException:
            self._execute("ROLLBACK")
            raise

    def _uses_schema(self) -> bool:
        """Make the schema the current one; False where it does not exist."""
        try:
            self._execute(f"USE SCHEMA {self._place}")
        except errors.ProgrammingError as error:
            if error.errno not in NO_SUCH_OBJECT:
                raise
            return False
        return True

    def _make_staging(self) -> None:
        self._execute(f"CREATE TEMPORARY TABLE {self._staging} ({', '.join(DIALECT.definitions(self._schema))})")

    def _prepare(self) -> tuple[dict[str, Column], Changes | None]:
        """Make schema, ledger and table as the load needs them; returns the table's columns, and their changes."""
        if not self._uses_schema():
            # makes the schema the current one, too
            self._execute(f"CREATE SCHEMA {self._place}")
        self._execute(f"CREATE TABLE IF NOT EXISTS {self._ledger} ({', '.join(DIALECT.definitions(LEDGER_SCHEMA))})")
        changes = changes_of(columns_of(self._connection, self._name), self._schema, self._name)
        if changes is None:
            self._execute(f"CREATE TABLE {self._name} ({', '.join(DIALECT.definitions(self._schema))})")
            self._execute(f"DELETE FROM {self._ledger} WHERE TABLE_ID = %s", self._manifest.table_id)
        else:
            for field in changes.widened:
                column = f"{DIALECT.quote(field.name)} SET DATA TYPE {DIALECT.sql_type(field)}"
                self._execute(f"ALTER TABLE {self._name} ALTER COLUMN {column}")
            for definition in DIALECT.definitions(changes.added):
                self._execute(f"ALTER TABLE {self._name} ADD COLUMN {definition}")
        return columns_of(self._connection, self._name), changes

    def _ledger_entries(self) -> list[LedgerEntry]:
        columns = DIALECT.column_list(LEDGER_SCHEMA.names)
        select = f"SELECT {columns} FROM {self._ledger} WHERE TABLE_ID = %s"
        return [LedgerEntry(*row) for row in self._execute(select, self._manifest.table_id)]

    def _put(self, records: Iterable[Record]) -> Iterator[str]:
        """Put the records' files on the stage; yields their names on it."""
        for number, record in enumerate(records):
            with TemporaryDirectory(prefix="db_dump-") as folder:
                for part, path in enumerate(self._parquet_files(record, Path(folder))):
                    place = f"{number}/{part}"
                    put = f"PUT {_text(f'file://{path}')} @{self._stage}/{place} AUTO_COMPRESS = FALSE OVERWRITE = TRUE"
                    [(_, _, _, _, _, _, status, message)] = self._execute(put)
                    if status not in ("UPLOADED", "SKIPPED"):
                        raise TargetError(f"{path.name}: cannot be put on the stage ({status}: {message})")
                    yield f"{place}/{path.name}"

    def _parquet_files(self, record: Record, folder: Path) -> list[Path]:
        """The record's own files; where they are not local, or Snowflake cannot take them, a file made from them."""
        local = [path for file in record.files if (path := self._table.local(file))]
        unchanged = not _has_uint64(self._schema) and self._staged == self._schema.names
        if len(local) == len(record.files) and self._manifest.data_type == "parquet" and unchanged:
            return [Path(path) for path in local]
        stored = pa.schema([(field.name, _stored(field.type)) for field in self._schema])
        staged = pa.schema(list(zip(self._staged, stored.types, strict=True)))
        with parquet.ParquetWriter(folder / "rows.parquet", staged, compression="zstd") as writer:
            for batch in self._table.read(self._manifest, [record], stored):
                writer.write_batch(batch.rename_columns(self._staged))
        return [folder / "rows.parquet"]

    def _copy(self, files: list[str]) -> int:
        """COPY the files into the staging table; returns the number of rows."""
        columns = DIALECT.column_list(self._schema.names)
        pairs = zip(self._staged, self._schema, strict=True)
        values = ", ".join(f'$1:"{name}"::{DIALECT.sql_type(field)}' for name, field in pairs)
        rows = 0
        for first in range(0, len(files), FILES_PER_COPY):
            names = ", ".join(f"'{name}'" for name in files[first : first + FILES_PER_COPY])
            results = self._execute(
                f"COPY INTO {self._staging} ({columns}) FROM (SELECT {values} FROM @{self._stage}) FILES = ({names}) "
                f"FILE_FORMAT = ({FILE_FORMAT}) ON_ERROR = ABORT_STATEMENT PURGE = TRUE"
            )
            # without a file, COPY answers with one row of one column
            rows += sum(result[3] for result in results if len(result) > 3)
        return rows

    def _replace(self, plan: Plan, existing: dict[str, Column]) -> None:
        if self._manifest.dump_mode == "overwrite":
            self._execute(f"DELETE FROM {self._name}")
        for start, stop in plan.delete:
            day = DIALECT.quote(self._manifest.partition_columns[0])
            self._execute(f"DELETE FROM {self._name} WHERE {day} >= '{start}' AND {day} < '{stop}'")
        plan.check(self._insert(existing))
        self._execute(f"DELETE FROM {self._ledger} WHERE TABLE_ID = %s", self._manifest.table_id)
        entries = plan.ledger_rows.to_pylist()
        columns = DIALECT.column_list(LEDGER_SCHEMA.names)
        insert = f"INSERT INTO {self._ledger} ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s)"
        with self._connection.cursor() as cursor:
            cursor.executemany(insert, [tuple(entry.values()) for entry in entries])

    def _insert(self, existing: dict[str, Column]) -> int:
        """Move the rows from the staging table; returns their number."""
        columns = DIALECT.column_list(self._schema.names)
        values = ", ".join(cast_to(existing[DIALECT.fold(name)], DIALECT.quote(name)) for name in self._schema.names)
        rows: int
        [(rows,)] = self._execute(f"INSERT INTO {self._name} ({columns}) SELECT {values} FROM {self._staging}")
        return rows

    def _execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows


def _has_uint64(schema: pa.Schema) -> bool:
    return any(field.type == pa.uint64() for field in schema)


def _stored(type_: pa.DataType) -> pa.DataType:
    # Parquet keeps them as signed numbers
    return pa.decimal128(20, 0) if type_ == pa.uint64() else type_


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _key(pem: str, passphrase: str | None) -> object:
    try:
        return load_pem_private_key(pem.encode(), passphrase.encode() if passphrase else None)
    except (ValueError, TypeError):
        # their messages are dropped, to be sure that nothing of the key is shown
        raise TargetError(
            "target_secret_path: the private_key of the secret is not a PEM key, or its passphrase is wrong"
        ) from None
