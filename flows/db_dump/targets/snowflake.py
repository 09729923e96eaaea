"""Snowflake: files are put on a temporary stage, copied into a temporary table, and from there in one transaction.

Snowflake commits a change of a table's columns by itself: a table is made, and columns grow, before that transaction.
Stage and temporary table end with the session.
"""

# ruff: noqa: S608 - names are quoted, days are the manifest's
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as parquet
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from snowflake import connector
from snowflake.connector import errors

import drift
from drift import Column
from stage import Manifest, Record, Table

from .errors import TargetError, TargetUnavailable, one_line
from .names import check_names
from .plan import LEDGER, LEDGER_SCHEMA, Loaded, Plan, Result, emptied, make_plan

# The most that COPY takes
FILES_PER_COPY = 1000
# The most that a name may have
MOST_CHARACTERS = 255
NO_SUCH_OBJECT = {2003, 2043}
FILE_FORMAT = "TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE"
HALF_STRUCTURED = {"VARIANT", "OBJECT", "ARRAY"}

SQL_TYPES = {
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


class Snowflake:
    """A Snowflake database. Names are in capitals there, as Snowflake takes names that are not quoted."""

    def __init__(self, arguments: dict) -> None:
        if missing := {"account", "user", "database", "warehouse"} - arguments.keys():
            raise TargetError(f"target_secret_path: the secret lacks {', '.join(sorted(missing))}")
        self._where, self._database = f"{arguments['account']}/{arguments['database']}", arguments["database"]
        defaults = {"login_timeout": 60, "network_timeout": 600, "application": "db_dump"}
        self._arguments = defaults | arguments | {"session_parameters": {"TIMEZONE": "UTC"}}
        pem, passphrase = self._arguments.pop("private_key", None), self._arguments.pop("passphrase", None)
        if pem:
            self._arguments["private_key"] = _key(pem, passphrase)

    def check(self, table: Table, draft: Manifest) -> None:
        check_names(draft, MOST_CHARACTERS, len, str.upper)
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
            passing = isinstance(error, errors.OperationalError | errors.InterfaceError | errors.HttpError)
            message = one_line(error.raw_msg or error.msg)
            raise (TargetUnavailable if passing else TargetError)(f"{self._where}: {message}") from error


class _Load:
    """One load, in a session of its own."""

    def __init__(
        self, connection: connector.SnowflakeConnection, database: str, table: Table, manifest: Manifest
    ) -> None:
        self._connection, self._table, self._manifest = connection, table, manifest
        self._schema, self._place = manifest.schema, _name(database, manifest.dataset_id)
        # in the files put on the stage: a path to a column is no place for quotation marks
        plain = all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in self._schema.names)
        self._staged = self._schema.names if plain else [f"c{number}" for number in range(len(self._schema))]
        self._name, self._ledger = f"{self._place}.{_quote(manifest.table_id)}", f"{self._place}.{_quote(LEDGER)}"
        # names of their own for each attempt: what Snowflake remembers of files loaded before plays no part
        token = secrets.token_hex(4)
        self._stage, self._staging = f"_DB_DUMP_STAGE_{token}", f"_DB_DUMP_STAGING_{token}"

    def run(self, allow_empty: bool) -> Result:
        there, changes = self._prepare()
        todo = make_plan(self._manifest, self._loaded())
        overwrite = self._manifest.dump_mode == "overwrite"
        if overwrite and not todo.rows and not allow_empty and self._execute(f"SELECT 1 FROM {self._name} LIMIT 1"):
            raise emptied(f"the table {self._name}")
        self._execute(f"CREATE TEMPORARY STAGE {self._stage}")
        self._make_staging()
        todo.check(self._copy(list(self._put(todo.load))))
        with self._transaction():
            self._replace(todo, there)
            self._execute("COMMIT")
        return Result.of(todo, changes)

    def rehearse(self) -> None:
        """What of a load can be undone: one of no rows. New tables and columns cannot, and are compared only."""
        there = _columns(self._connection, self._name)
        changes = _changes(there, self._name, self._schema)
        if not self._uses_schema():
            return
        self._make_staging()
        if there and _columns(self._connection, self._ledger):
            make_plan(self._manifest, self._loaded())
        if changes and not changes.added and not changes.widened:
            with self._transaction():
                self._insert(there)
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
        """Go there, if there is such a schema."""
        try:
            self._execute(f"USE SCHEMA {self._place}")
        except errors.ProgrammingError as error:
            if error.errno not in NO_SUCH_OBJECT:
                raise
            return False
        return True

    def _make_staging(self) -> None:
        self._execute(f"CREATE TEMPORARY TABLE {self._staging} ({', '.join(_definitions(self._schema))})")

    def _prepare(self) -> tuple[dict[str, tuple[Column, str]], drift.Changes | None]:
        """Schema, ledger and table as the load needs them."""
        if not self._uses_schema():
            # which goes there too
            self._execute(f"CREATE SCHEMA {self._place}")
        self._execute(f"CREATE TABLE IF NOT EXISTS {self._ledger} ({', '.join(_definitions(LEDGER_SCHEMA))})")
        changes = _changes(_columns(self._connection, self._name), self._name, self._schema)
        if changes is None:
            self._execute(f"CREATE TABLE {self._name} ({', '.join(_definitions(self._schema))})")
            self._execute(f"DELETE FROM {self._ledger} WHERE TABLE_ID = %s", self._manifest.table_id)
        else:
            for field in changes.widened:
                column = f"{_quote(field.name)} SET DATA TYPE {_sql_type(field)}"
                self._execute(f"ALTER TABLE {self._name} ALTER COLUMN {column}")
            for definition in _definitions(changes.added):
                self._execute(f"ALTER TABLE {self._name} ADD COLUMN {definition}")
        return _columns(self._connection, self._name), changes

    def _loaded(self) -> list[Loaded]:
        columns = ", ".join(_quote(name) for name in LEDGER_SCHEMA.names)
        select = f"SELECT {columns} FROM {self._ledger} WHERE TABLE_ID = %s"
        return [Loaded(*row) for row in self._execute(select, self._manifest.table_id)]

    def _put(self, records: Iterable[Record]) -> Iterator[str]:
        """Put the records' files on the stage; their names there."""
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
        """The record's own files; where they are far away, or not as Snowflake takes them, one written from them."""
        local = [self._table.local(file) for file in record.files]
        as_it_is = not _has_uint64(self._schema) and self._staged == self._schema.names
        if all(local) and self._manifest.data_type == "parquet" and as_it_is:
            return [Path(path) for path in local]
        wanted = pa.schema([(field.name, _stored(field.type)) for field in self._schema])
        staged = pa.schema(list(zip(self._staged, wanted.types, strict=True)))
        with parquet.ParquetWriter(folder / "rows.parquet", staged, compression="zstd") as writer:
            for batch in self._table.read(self._manifest, [record], wanted):
                writer.write_batch(batch.rename_columns(self._staged))
        return [folder / "rows.parquet"]

    def _copy(self, files: list[str]) -> int:
        """COPY the files into the staging table; how many rows came."""
        columns = ", ".join(_quote(name) for name in self._schema.names)
        pairs = zip(self._staged, self._schema, strict=True)
        values = ", ".join(f'$1:"{name}"::{_sql_type(field)}' for name, field in pairs)
        rows = 0
        for first in range(0, len(files), FILES_PER_COPY):
            names = ", ".join(f"'{name}'" for name in files[first : first + FILES_PER_COPY])
            results = self._execute(
                f"COPY INTO {self._staging} ({columns}) FROM (SELECT {values} FROM @{self._stage}) FILES = ({names}) "
                f"FILE_FORMAT = ({FILE_FORMAT}) ON_ERROR = ABORT_STATEMENT PURGE = TRUE"
            )
            # without a file, COPY gives one line of one column
            rows += sum(result[3] for result in results if len(result) > 3)
        return rows

    def _replace(self, todo: Plan, there: dict[str, tuple[Column, str]]) -> None:
        if self._manifest.dump_mode == "overwrite":
            self._execute(f"DELETE FROM {self._name}")
        for start, stop in todo.delete:
            column = _quote(self._manifest.partition_columns[0])
            self._execute(f"DELETE FROM {self._name} WHERE {column} >= '{start}' AND {column} < '{stop}'")
        todo.check(self._insert(there))
        self._execute(f"DELETE FROM {self._ledger} WHERE TABLE_ID = %s", self._manifest.table_id)
        entries = todo.ledger_rows.to_pylist()
        columns = ", ".join(_quote(name) for name in LEDGER_SCHEMA.names)
        insert = f"INSERT INTO {self._ledger} ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s)"
        with self._connection.cursor() as cursor:
            cursor.executemany(insert, [tuple(entry.values()) for entry in entries])

    def _insert(self, there: dict[str, tuple[Column, str]]) -> int:
        """Move the rows from the staging table; how many there were."""
        columns = ", ".join(_quote(name) for name in self._schema.names)
        values = ", ".join(_cast(_quote(name), *there[name.upper()]) for name in self._schema.names)
        [(rows,)] = self._execute(f"INSERT INTO {self._name} ({columns}) SELECT {values} FROM {self._staging}")
        return rows

    def _execute(self, statement: str, *values: object) -> list[tuple]:
        with self._connection.cursor() as cursor:
            return cursor.execute(statement, values or None).fetchall()


def _changes(there: dict[str, tuple[Column, str]], name: str, schema: pa.Schema) -> drift.Changes | None:
    """What the table there needs to take the columns; None where there is no table."""
    _definitions(schema)
    if not there:
        return None
    mend = "alter or drop that table"
    capitals = pa.schema([(field.name.upper(), field.type) for field in schema])
    changes = drift.compare({name: column for name, (column, _) in there.items()}, capitals, f"the table {name}", mend)
    for field in changes.widened:
        column, type_ = there[field.name]
        if not pa.types.is_decimal128(column.type) or column.type.scale != field.type.scale:
            raise TargetError(f"column {field.name} of {name}: Snowflake cannot make {type_} a {field.type}; {mend}")
    return changes


def _columns(connection: connector.SnowflakeConnection, name: str) -> dict[str, tuple[Column, str]]:
    with connection.cursor(connector.DictCursor) as cursor:
        try:
            rows = cursor.execute(f"DESCRIBE TABLE {name}").fetchall()
        except errors.ProgrammingError as error:
            if error.errno in NO_SUCH_OBJECT:
                return {}
            raise
    return {row["name"]: (Column(_arrow_type(row["type"]), row["default"] is not None), row["type"]) for row in rows}


def _arrow_type(type_: str) -> pa.DataType | None:
    if number := re.fullmatch(r"NUMBER\((\d+),(\d+)\)", type_):
        return pa.decimal128(*map(int, number.groups()))
    return ARROW_TYPES.get(type_.partition("(")[0])


def _sql_type(field: pa.Field) -> str:
    if field.type in SQL_TYPES:
        return SQL_TYPES[field.type]
    if pa.types.is_integer(field.type):
        return "NUMBER(38,0)"
    if pa.types.is_decimal128(field.type):
        return f"NUMBER({field.type.precision},{field.type.scale})"
    raise TargetError(f"column {field.name}: Snowflake has no {field.type}; cast it to text in execute_query")


def _cast(value: str, column: Column, type_: str) -> str:
    """The staged value as the table's column takes it, where that is of a type Arrow does not know."""
    if column.type is not None:
        return value
    return f"PARSE_JSON({value})::{type_}" if type_ in HALF_STRUCTURED else f"{value}::{type_}"


def _has_uint64(schema: pa.Schema) -> bool:
    return any(field.type == pa.uint64() for field in schema)


def _stored(type_: pa.DataType) -> pa.DataType:
    # Parquet keeps them as signed numbers
    return pa.decimal128(20, 0) if type_ == pa.uint64() else type_


def _definitions(fields: Iterable[pa.Field]) -> list[str]:
    return [f"{_quote(field.name)} {_sql_type(field)}" for field in fields]


def _name(*parts: str) -> str:
    return ".".join(_quote(part) for part in parts)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quote(identifier: str) -> str:
    return '"' + identifier.upper().replace('"', '""') + '"'


def _key(pem: str, passphrase: str | None) -> object:
    try:
        return load_pem_private_key(pem.encode(), passphrase.encode() if passphrase else None)
    except (ValueError, TypeError):
        # their messages are dropped, to be sure that nothing of the key is shown
        raise TargetError(
            "target_secret_path: the private_key of the secret is no PEM key, or its passphrase is wrong"
        ) from None
