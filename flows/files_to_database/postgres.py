"""Into PostgreSQL by binary COPY. Each month is a partition of the table; a transaction replaces it by a new one."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc

from errors import FileError, LoadError, Unavailable, one_line
from redaction import redacted
from rows import Rows

# The column with the month of the row's file; each month has its own partition
MONTH = "_month"

SQL_TYPES = {
    pa.bool_(): "boolean",
    pa.int8(): "smallint",
    pa.uint8(): "smallint",
    pa.int16(): "smallint",
    pa.uint16(): "integer",
    pa.int32(): "integer",
    pa.uint32(): "bigint",
    pa.int64(): "bigint",
    pa.uint64(): "numeric(20,0)",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.date32(): "date",
    pa.time64("us"): "time without time zone",
    pa.timestamp("us"): "timestamp without time zone",
    pa.timestamp("us", "UTC"): "timestamp with time zone",
    pa.string(): "text",
    pa.binary(): "bytea",
}
# The Arrow type that the driver sends for each SQL type; of several candidates the widest
ARROW_TYPES = {
    **{name: type_ for type_, name in SQL_TYPES.items()},
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "text": pa.string(),
}

# Lost or no connection, a server that stops, starts or is full, a deadlock
TRANSIENT = {None, "57P01", "57P02", "57P03", "53300", "40P01"}
# Errors of a login have no SQLSTATE: only the server's message shows that another try is useless
REFUSED = re.compile(r"FATAL: +(password|role|database|no pg_hba)")


@dataclass(frozen=True)
class Database:
    """The database to load into, with its login."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.name}"

    @property
    def address(self) -> str:
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(self.name, safe='')}?connect_timeout=10"


@dataclass(frozen=True)
class AtLeast:
    """The least number of rows of a month, as a share of the rows of the month before."""

    share: float
    month_before: str


def replace(database: Database, table: str, month: str, rows: Rows, at_least: AtLeast | None = None) -> int:
    """Replace the month's rows; returns the number of rows. Readers see the old rows until the new ones are complete.

    Raises FileError where the file does not fit the table, LoadError where the table cannot be used, and Unavailable
    where another try may help.
    """
    schema, name = table.split(".")
    partition = _partition(name, month)
    new_partition = f"{partition}_new"
    parent, old, new = _quoted(schema, name), _quoted(schema, partition), _quoted(schema, new_partition)
    with _connect(database) as connection, connection.cursor() as cursor:
        # one load of a table at a time; readers are not affected
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [f"files_to_database {table}"])
        columns = _prepare(cursor, parent, rows.columns)
        cursor.execute(f"CREATE TABLE {new} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(f"ALTER TABLE {new} ALTER COLUMN {MONTH} SET DEFAULT '{month}'")
        count = _copy(cursor, schema, new_partition, _TypedRows(rows, columns))
        if at_least:
            previous = _quoted(schema, _partition(name, at_least.month_before))
            if _is_partition(cursor, previous, parent):
                _check_count(cursor, count, at_least, previous, rows)
        # from here on the table is locked, for a moment
        if _is_partition(cursor, old, parent):
            cursor.execute(f"DROP TABLE {old}")
        cursor.execute(f"ALTER TABLE {new} RENAME TO {_quoted(partition)}")
        cursor.execute(f"ALTER TABLE {parent} ATTACH PARTITION {old} FOR VALUES IN ('{month}')")
        connection.commit()
    return count


@contextmanager
def _connect(database: Database) -> Iterator[adbc.Connection]:
    try:
        with adbc.connect(database.address) as connection:
            yield connection
    except adbc.Error as error:
        message = one_line(error)
        kind = Unavailable if error.sqlstate in TRANSIENT and not REFUSED.search(message) else LoadError
        raise kind(f"{database}: {redacted(message, database.password, database.address)}") from None


def _partition(table: str, month: str) -> str:
    return f"{table}_{re.sub(r'[^a-z0-9]+', '_', month)}"


def _check_count(cursor: adbc.Cursor, count: int, at_least: AtLeast, partition: str, rows: Rows) -> None:
    cursor.execute(f"SELECT count(*) FROM {partition}")  # noqa: S608 - quoted
    [previous_count] = cursor.fetchone()
    if count < at_least.share * previous_count:
        raise FileError(
            f"{rows.path.name}: {count:,} rows are less than {at_least.share:.0%} of the {previous_count:,} of "
            f"{at_least.month_before}; is the file complete? If so, lower min_share"
        )


def _prepare(cursor: adbc.Cursor, table: str, columns: pa.Schema) -> pa.Schema:
    """Make the table, or add the columns it lacks; returns the types in which the driver sends its columns."""
    existing = _columns(cursor, table)
    # a column without values is left out: its type comes from the first file with values
    file_types = {column.name: _sql_type(column, table) for column in columns if column.type != pa.null()}
    if MONTH in columns.names:
        raise FileError(f"the file has a column {MONTH}, which the table {table} needs itself; rename that column")
    if set(existing) - {MONTH} and not set(existing) & set(columns.names):
        raise FileError(
            f"the file has no column of the table {table}, but {', '.join(columns.names[:5])}; correct address, "
            "or give another table"
        )
    if not existing:
        listed = "".join(f"{_quoted(name)} {type_}, " for name, type_ in file_types.items())
        cursor.execute(f"CREATE TABLE {table} ({listed}{MONTH} text NOT NULL) PARTITION BY LIST ({MONTH})")
    else:
        cursor.execute("SELECT pg_get_partkeydef(to_regclass($1))", [table])
        if cursor.fetchone() != (f"LIST ({MONTH})",):
            raise LoadError(f"the table {table} was not made by this flow: move it away, or give another table")
        for name in [name for name in file_types if name not in existing]:
            cursor.execute(f"ALTER TABLE {table} ADD COLUMN {_quoted(name)} {file_types[name]}")
    existing = _columns(cursor, table)
    return pa.schema([(name, _arrow_type(columns.field(name), existing[name], table)) for name in file_types])


def _columns(cursor: adbc.Cursor, table: str) -> dict[str, str]:
    cursor.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
        [table],
    )
    return dict(cursor.fetchall())


def _is_partition(cursor: adbc.Cursor, partition: str, table: str) -> bool:
    cursor.execute(
        "SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass($1) AND inhparent = to_regclass($2)",
        [partition, table],
    )
    return cursor.fetchone() is not None


class _TypedRows:
    """The rows in the types of the table. `error` keeps an error in reading them, which the driver hides."""

    def __init__(self, rows: Rows, columns: pa.Schema) -> None:
        self._rows, self.columns = rows, columns
        self.error: LoadError | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._rows.batches():
                yield pa.RecordBatch.from_arrays(
                    [self._cast(batch, column) for column in self.columns], self.columns.names
                )
        except LoadError as error:
            self.error = error
            raise

    def _cast(self, batch: pa.RecordBatch, column: pa.Field) -> pa.Array:
        try:
            return _exactly(batch[column.name], column.type)
        except pa.ArrowException as error:
            raise FileError(
                f"{self._rows.path.name}: column {column.name}: {one_line(error)}; the table has another type than the "
                f"file: ALTER TABLE … ALTER COLUMN {column.name} TYPE … makes it wider"
            ) from None


def _exactly(values: pa.Array, type_: pa.DataType) -> pa.Array:
    """The values in another type. Raises ArrowInvalid where casting back gives other values: Arrow rounds silently."""
    if values.type == type_:
        return values
    if pa.types.is_timestamp(type_) and pa.types.is_timestamp(values.type) and bool(type_.tz) != bool(values.type.tz):
        raise pa.ArrowInvalid(f"{values.type} does not fit {type_}: one of them has a time zone")
    cast = values.cast(type_)
    back = cast.cast(values.type)
    equal = pc.equal(back, values)
    if pa.types.is_floating(values.type):
        equal = pc.or_(equal, pc.and_(pc.is_nan(back), pc.is_nan(values)))
    position = pc.index(equal, False).as_py()
    if position >= 0:
        raise pa.ArrowInvalid(f"{values[position].as_py()!r} would become {cast[position].as_py()!r}")
    return cast


def _copy(cursor: adbc.Cursor, schema: str, table: str, rows: _TypedRows) -> int:
    # a file whose columns have no values has no rows
    if not rows.columns:
        return 0
    reader = pa.RecordBatchReader.from_batches(rows.columns, rows)
    try:
        count: int = cursor.adbc_ingest(table, reader, mode="append", db_schema_name=schema)
    except adbc.Error:
        if rows.error:
            raise rows.error from None
        raise
    return count


def _sql_type(column: pa.Field, table: str) -> str:
    if pa.types.is_decimal(column.type):
        # the limit of Arrow: a later file may have another scale
        if column.type.precision == 38:
            return "numeric"
        return f"numeric({column.type.precision},{column.type.scale})"
    if column.type not in SQL_TYPES:
        raise FileError(f"column {column.name} is of type {column.type}, which the table {table} cannot hold")
    return SQL_TYPES[column.type]


def _arrow_type(column: pa.Field, type_: str, table: str) -> pa.DataType:
    """The type in which the driver sends a column for its type in the table."""
    if numeric := re.fullmatch(r"numeric\((\d+),(\d+)\)", type_):
        precision, scale = map(int, numeric.groups())
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    if type_ == "numeric":
        return column.type if pa.types.is_decimal(column.type) else pa.decimal128(38, 0)
    if type_ not in ARROW_TYPES:
        raise LoadError(f"the table {table} has the column {column.name} as {type_}, which this flow cannot fill")
    return ARROW_TYPES[type_]


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)
