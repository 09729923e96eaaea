"""Parquet, CSV and gzipped CSV as a stream of Arrow batches, with the types of all rows."""

import csv as text
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from errors import FileError, LoadError, one_line

BATCH_ROWS = 16_384
BLOCK_BYTES = 8 * 1024 * 1024
NAME_BYTES = 63

# From narrow to wide: the pattern that all values of a CSV column match. Columns that match none are text, such as
# numbers that begin with a zero or have more digits than a type holds.
DECIMAL = pa.decimal128(38, 18)
PATTERNS = {
    pa.bool_(): r"^(true|false|True|False|TRUE|FALSE)$",
    pa.int64(): r"^(0|-?[1-9][0-9]{0,17})$",
    DECIMAL: r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$",
    pa.float64(): r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][+-]?[0-9]+)?$",
    pa.date32(): r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    pa.timestamp("us"): r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$",
    pa.timestamp("us", "UTC"): r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
}


@dataclass(frozen=True)
class Rows:
    """A file's columns, with names in lower case, and its rows. Columns without a value have the type null."""

    path: Path
    columns: pa.Schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        if all(type_ == pa.null() for type_ in self.columns.types):
            return
        with _readable(self.path):
            for batch in _batches(self.path, self.columns.types):
                yield pa.RecordBatch.from_arrays(batch.columns, schema=self.columns)


def open_rows(path: Path) -> Rows:
    """The file's rows. The types of a CSV file come from all of its values.

    Raises LoadError for another kind of file, and FileError for a file that cannot be read.
    """
    with _readable(path):
        if path.suffix == ".parquet":
            with parquet.ParquetFile(path) as file:
                _check_names(path, file.schema_arrow.names)
                columns = [(column.name.lower(), _plain(column.type)) for column in file.schema_arrow]
        elif re.search(r"\.csv(\.gz)?$", path.name):
            columns = _csv_columns(path)
        else:
            raise LoadError(f"address: {path.name} is neither .parquet, .csv nor .csv.gz")
    return Rows(path, pa.schema(columns))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path.name} cannot be read: {one_line(error)}") from error


def _check_names(path: Path, names: list[str]) -> None:
    names = [name.lower() for name in names]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise FileError(f"{path.name}: several columns are called {', '.join(repeated)}, in lower case")
    if "" in names:
        raise FileError(f"{path.name}: column {names.index('') + 1} has no name; give it one in the file's first line")
    if too_long := [name for name in names if len(name.encode()) > NAME_BYTES]:
        raise FileError(
            f"{path.name}: PostgreSQL would cut the name of column {too_long[0]} at {NAME_BYTES} bytes; shorten it"
        )


def _plain(type_: pa.DataType) -> pa.DataType:
    """The type in a database for a type of Parquet."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us", type_.tz and "UTC")
    if pa.types.is_time(type_):
        return pa.time64("us")
    plain = {pa.large_string(): pa.string(), pa.string_view(): pa.string(), pa.large_binary(): pa.binary()}
    return plain.get(type_, type_)


def _batches(path: Path, types: list[pa.DataType]) -> Iterator[pa.RecordBatch]:
    if path.suffix == ".parquet":
        with parquet.ParquetFile(path) as file:
            schema = pa.schema(list(zip(file.schema_arrow.names, types, strict=True)))
            for batch in file.iter_batches(BATCH_ROWS):
                yield batch.cast(schema)
    else:
        with _open_csv(path, dict(zip(_csv_names(path), types, strict=True))) as reader:
            yield from reader


def _open_csv(path: Path, types: dict[str, pa.DataType] | None = None) -> csv.CSVStreamingReader:
    return csv.open_csv(
        path,
        csv.ReadOptions(block_size=BLOCK_BYTES),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _csv_names(path: Path) -> list[str]:
    with _open_csv(path) as reader:
        names: list[str] = reader.schema.names
    return names


@dataclass
class _Column:
    """The possible types of a CSV column, after some of its values."""

    candidates: list[pa.DataType] = field(default_factory=lambda: list(PATTERNS))
    places: int = 0
    empty: bool = True

    def inspect(self, values: pa.Array) -> None:
        self.empty &= not len(values)
        self.candidates = [type_ for type_ in self.candidates if _fits(values, type_)]
        if DECIMAL in self.candidates:
            fraction = pc.struct_field(pc.extract_regex(values, r"\.(?P<fraction>[0-9]+)$"), "fraction")
            self.places = max(self.places, pc.max(pc.utf8_length(fraction)).as_py() or 0)

    @property
    def type(self) -> pa.DataType:
        if self.empty:
            return pa.null()
        if not self.candidates:
            return pa.string()
        return pa.decimal128(38, self.places) if self.candidates[0] == DECIMAL else self.candidates[0]


def _csv_columns(path: Path) -> list[tuple[str, pa.DataType]]:
    names, is_empty = _check_text(path)
    _check_names(path, names)
    columns = {name: _Column() for name in names}
    if names and is_empty:  # Arrow fails if the only line has no line break
        return [(name.lower(), pa.null()) for name in names]
    with _open_csv(path, dict.fromkeys(columns, pa.string())) as reader:
        for batch in reader:
            for name, column in columns.items():
                column.inspect(batch[name].drop_null())
    return [(name.lower(), column.type) for name, column in columns.items()]


def _check_text(path: Path) -> tuple[list[str], bool]:
    """The names of the columns, and whether there are no rows below them.

    Raises FileError for text that Arrow would misread: a web page, another delimiter, an unclosed quote.
    """
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", errors="replace") as lines:
        header = next((line.strip() for line in lines if line.strip()), "")
        if header.startswith(("<", "{")):
            raise FileError(
                f"{path.name} begins with {header[0]}, as web pages and messages do; tables begin with column names"
            )
        if "," not in header and (delimiters := [sign for sign in ";\t|" if sign in header]):
            raise FileError(f"{path.name}: its first line has {delimiters[0]!r} where commas belong between the names")
        lines.seek(0)
        return _check_quotes(path, lines)


def _check_quotes(path: Path, lines: Iterator[str]) -> tuple[list[str], bool]:
    # the limit of Arrow for a value
    text.field_size_limit(BLOCK_BYTES)
    reader, line = text.reader(lines, strict=True), 1
    try:
        names = next(reader, [])
        header = line = reader.line_num + 1
        for _ in reader:
            line = reader.line_num + 1
    except text.Error as error:
        raise FileError(
            f"{path.name}, line {line}: a quote in it does not end where a value does ({error}); correct the line"
        ) from None
    return names, line == header


def _fits(values: pa.Array, type_: pa.DataType) -> bool:
    if pc.all(pc.match_substring_regex(values, PATTERNS[type_])).as_py() is False:
        return False
    try:
        pc.cast(values, type_)
    except pa.ArrowInvalid:
        return False
    return True
