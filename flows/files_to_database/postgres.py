"""Into PostgreSQL by binary COPY. Each month is a partition of the table, replaced by a new one in one transaction."""

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

# Says of each row which month's file it came with; each month has a partition of its own
MONTH = "_month"

TYPES = {
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
# How the driver sends each type; the last of those above that share one
SENT_AS = {
    **{name: type_ for type_, name in TYPES.items()},
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "text": pa.string(),
}


# Lost or no connection, a server that stops, starts or is full, a deadlock
PASSING = {None, "57P01", "57P02", "57P03", "53300", "40P01"}
# Without a connection there is no SQLSTATE, but the server's own words
REFUSED = re.compile(r"FATAL: +(password|role|database|no pg_hba)")


@dataclass(frozen=True)
class Database:
    """Where to load to."""

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
    """How many rows a month must have: a share of those that the table has of the month before."""

    share: float
    month_before: str


def replace(database: Database, table: str, month: str, rows: Rows, at_least: AtLeast | None = None) -> int:
    """Replace the month's rows, and return their number; readers see the old ones until the new ones are all there."""
    schema, name = table.split(".")
    partition = _partition(name, month)
    new = f"{partition}_new"
    whole, old, made = _quoted(schema, name), _quoted(schema, partition), _quoted(schema, new)
    with _connect(database) as connection, connection.cursor() as cursor:
        # One load of a table at a time; reading goes on
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [f"files_to_database {table}"])
        columns = _prepare(cursor, whole, rows.columns)
        cursor.execute(f"CREATE TABLE {made} (LIKE {whole} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(f"ALTER TABLE {made} ALTER COLUMN {MONTH} SET DEFAULT '{month}'")
        count = _copy(cursor, schema, new, _Typed(rows, columns))
        if at_least and _is_partition(
            cursor, before := _quoted(schema, _partition(name, at_least.month_before)), whole
        ):
            _check_count(cursor, count, at_least, before, rows)
        # only now the table is locked, for a moment
        if _is_partition(cursor, old, whole):
            cursor.execute(f"DROP TABLE {old}")
        cursor.execute(f"ALTER TABLE {made} RENAME TO {_quoted(partition)}")
        cursor.execute(f"ALTER TABLE {whole} ATTACH PARTITION {old} FOR VALUES IN ('{month}')")
        connection.commit()
    return count


@contextmanager
def _connect(database: Database) -> Iterator[adbc.Connection]:
    try:
        with adbc.connect(database.address) as connection:
            yield connection
    except adbc.Error as error:
        message = one_line(error)
        kind = Unavailable if error.sqlstate in PASSING and not REFUSED.search(message) else LoadError
        raise kind(f"{database}: {redacted(message, database.password, database.address)}") from None


def _partition(table: str, month: str) -> str:
    return f"{table}_{re.sub(r'[^a-z0-9]+', '_', month)}"


def _check_count(cursor: adbc.Cursor, count: int, at_least: AtLeast, partition: str, rows: Rows) -> None:
    cursor.execute(f"SELECT count(*) FROM {partition}")  # noqa: S608 - quoted
    [before] = cursor.fetchone()
    if count < at_least.share * before:
        raise FileError(
            f"{rows.path.name}: {count:,} rows are less than {at_least.share:.0%} of the {before:,} of "
            f"{at_least.month_before}; is the file whole? If so, lower min_share"
        )


def _prepare(cursor: adbc.Cursor, table: str, columns: pa.Schema) -> pa.Schema:
    """Make the table, or add the columns it lacks; returns the types in which its columns are sent."""
    present = _columns(cursor, table)
    # a column without values is left out: its type is that of the first file that has some
    wanted = {column.name: _sql_type(column, table) for column in columns if column.type != pa.null()}
    if MONTH in columns.names:
        raise FileError(f"the file has a column {MONTH} of its own, which the table {table} needs to tell months apart")
    if set(present) - {MONTH} and not set(present) & set(columns.names):
        raise FileError(
            f"the file has no column of the table {table}, but {', '.join(columns.names[:5])}; correct address, "
            "or give another table"
        )
    if not present:
        listed = "".join(f"{_quoted(name)} {type_}, " for name, type_ in wanted.items())
        cursor.execute(f"CREATE TABLE {table} ({listed}{MONTH} text NOT NULL) PARTITION BY LIST ({MONTH})")
    else:
        cursor.execute("SELECT pg_get_partkeydef(to_regclass($1))", [table])
        if cursor.fetchone() != (f"LIST ({MONTH})",):
            raise LoadError(f"the table {table} was not made by this flow: move it away, or give another table")
        for name in [name for name in wanted if name not in present]:
            cursor.execute(f"ALTER TABLE {table} ADD COLUMN {_quoted(name)} {wanted[name]}")
    present = _columns(cursor, table)
    return pa.schema([(name, _sent_as(columns.field(name), present[name], table)) for name in wanted])


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


class _Typed:
    """The rows in the types of the table. The driver hides what goes wrong while it reads them: `error` keeps it."""

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
    """The values in another type, which are the same when they are cast back: Arrow rounds some without a word."""
    if values.type == type_:
        return values
    if pa.types.is_timestamp(type_) and pa.types.is_timestamp(values.type) and bool(type_.tz) != bool(values.type.tz):
        raise pa.ArrowInvalid(f"{values.type} is no {type_}: one of them has a time zone")
    cast = values.cast(type_)
    back = cast.cast(values.type)
    same = pc.equal(back, values)
    if pa.types.is_floating(values.type):
        same = pc.or_(same, pc.and_(pc.is_nan(back), pc.is_nan(values)))
    place = pc.index(same, False).as_py()
    if place >= 0:
        raise pa.ArrowInvalid(f"{values[place].as_py()!r} would become {cast[place].as_py()!r}")
    return cast


def _copy(cursor: adbc.Cursor, schema: str, table: str, rows: _Typed) -> int:
    # where no column has a value, there are no rows
    if not rows.columns:
        return 0
    reader = pa.RecordBatchReader.from_batches(rows.columns, rows)
    try:
        return cursor.adbc_ingest(table, reader, mode="append", db_schema_name=schema)
    except adbc.Error:
        if rows.error:
            raise rows.error from None
        raise


def _sql_type(column: pa.Field, table: str) -> str:
    if pa.types.is_decimal(column.type):
        # as many digits as Arrow can hold: a later file may have other ones
        if column.type.precision == 38:
            return "numeric"
        return f"numeric({column.type.precision},{column.type.scale})"
    if column.type not in TYPES:
        raise FileError(f"column {column.name} is of type {column.type}, which has no place in the table {table}")
    return TYPES[column.type]


def _sent_as(column: pa.Field, type_: str, table: str) -> pa.DataType:
    """The type in which the driver has to send a column for the type that it has in the table."""
    if numeric := re.fullmatch(r"numeric\((\d+),(\d+)\)", type_):
        precision, scale = map(int, numeric.groups())
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    if type_ == "numeric":
        return column.type if pa.types.is_decimal(column.type) else pa.decimal128(38, 0)
    if type_ not in SENT_AS:
        raise LoadError(f"the table {table} has the column {column.name} as {type_}, which this flow cannot fill")
    return SENT_AS[type_]


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)
