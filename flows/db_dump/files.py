"""Rows to Parquet or CSV files, one file per hive folder."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Literal
from urllib.parse import quote
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from background import ahead
from errors import ParameterError
from hex_text import to_hex
from storage import Folder

DataType = Literal["csv", "parquet"]

EXTRACTED_AT = pa.field("_extracted_at", pa.timestamp("us", "UTC"))
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Each folder of a chunk keeps a file open
MAX_FOLDERS = 500
# The limit of file systems for the name of a folder
MAX_NAME_BYTES = 255
# Two years, in which every part of a date changes
SAMPLE_DAYS = pa.array(range(19_700, 20_431), pa.int32()).view(pa.date32())


@dataclass(frozen=True)
class File:
    """A file of a dump; `path` is relative to the table's folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Layout:
    """How rows become files. Raises ParameterError for a date format whose folders are not in the order of days."""

    data_type: DataType
    partition_columns: tuple[str, ...] = ()
    partition_date_format: str = "%Y-%m-%d"
    add_timestamp_column: bool = True

    def __post_init__(self) -> None:
        names = pc.strftime(SAMPLE_DAYS, self.partition_date_format).to_pylist()
        if any("%" in name for name in names) or names != sorted(names) or names[0] == names[-1]:
            raise ParameterError(
                f"partition_date_format: {self.partition_date_format!r} makes {names[0]!r} of {SAMPLE_DAYS[0]}; "
                "give codes of strftime without flags such as %-m, and keep days in order: %Y, %Y-%m or %Y-%m-%d"
            )

    def schema(self, columns: pa.Schema) -> pa.Schema:
        """The columns of the files. Raises ParameterError where the columns of the query do not fit the layout."""
        missing = [name for name in self.partition_columns if name not in columns.names]
        if missing:
            raise ParameterError(
                f"partition_columns: the query gives no {', '.join(missing)}; it gives {', '.join(columns.names)}"
            )
        binary = [name for name in self.partition_columns if pa.types.is_binary(columns.field(name).type)]
        if binary:
            raise ParameterError(f"partition_columns: {', '.join(binary)} is binary; choose a column of text or dates")
        if not self.add_timestamp_column:
            return columns
        if EXTRACTED_AT.name in columns.names:
            raise ParameterError(
                f"add_timestamp_column: the query itself gives {EXTRACTED_AT.name}; rename that column, or give false"
            )
        return columns.append(EXTRACTED_AT)


class _MeasuredFile:
    """A file that counts and hashes its content."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0
        self.rows = 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        # the folder closes and names the file
        pass

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def write_files(
    folder: Folder,
    place: str,
    name: str,
    batches: Iterable[pa.RecordBatch],
    columns: pa.Schema,
    layout: Layout,
    extracted_at: datetime,
    progress: Callable[[int, int], None],
) -> list[File]:
    """Write the batches below `place`. All files are complete when this returns, and none remains when it raises.

    File names are new each time, so that a file never changes. `progress` receives the number of batches and of rows
    so far. Partition columns stay in the files: a folder's name cannot distinguish a null from a text.
    """
    schema = layout.schema(columns)
    name = f"{name}-{uuid4().hex[:8]}.{layout.data_type}"
    writers: dict[str, tuple[str, parquet.ParquetWriter | csv.CSVWriter]] = {}
    sinks: dict[str, _MeasuredFile] = {}
    total = 0
    with ExitStack() as stack:

        def open_file(subfolder: str, sample: pa.RecordBatch) -> None:
            if len(sinks) == MAX_FOLDERS:
                raise ParameterError(
                    f"partition_columns: more than {MAX_FOLDERS} folders in one piece of the query; use a coarser "
                    "partition_date_format (%Y-%m), a column with fewer values, or a shorter break_query_frequency"
                )
            path = f"{place}/{subfolder}{name}"
            sinks[path] = _MeasuredFile(stack.enter_context(folder.create(path)))
            writers[subfolder] = path, stack.enter_context(_writer(sinks[path], sample, layout.data_type))

        batches_ahead = stack.enter_context(closing(ahead(batches)))
        for number, batch in enumerate(batches_ahead, 1):
            if layout.add_timestamp_column:
                stamp = pa.repeat(pa.scalar(extracted_at, EXTRACTED_AT.type), batch.num_rows)
                batch = batch.append_column(EXTRACTED_AT, stamp)
            for subfolder, rows in _split(batch, layout):
                if subfolder not in writers:
                    open_file(subfolder, rows)
                path, writer = writers[subfolder]
                writer.write_batch(_csv_text(rows) if layout.data_type == "csv" else rows)
                sinks[path].rows += rows.num_rows
            total += batch.num_rows
            progress(number, total)
        if not writers and not layout.partition_columns:
            # a table without rows still has columns
            open_file("", pa.RecordBatch.from_pylist([], schema))
    return [File(path, sink.rows, sink.bytes, sink.sha256) for path, sink in sinks.items()]


def _writer(sink: _MeasuredFile, sample: pa.RecordBatch, data_type: DataType) -> parquet.ParquetWriter | csv.CSVWriter:
    schema = sample.schema
    if data_type == "csv":
        return csv.CSVWriter(sink, pa.schema([(field.name, _csv_type(field.type)) for field in schema]))
    # a dictionary of values that rarely repeat costs time and space
    repeating = [name for name in schema.names if pc.count_distinct(sample[name]).as_py() * 10 <= sample.num_rows]
    return parquet.ParquetWriter(sink, schema, compression="zstd", use_dictionary=repeating)


def _csv_type(type_: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_binary(type_) else type_


def _csv_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with bytes as text, which CSV can hold."""
    for number, field in enumerate(batch.schema):
        if pa.types.is_binary(field.type):
            batch = batch.set_column(number, field.name, to_hex(batch[number]))
    return batch


def _split(batch: pa.RecordBatch, layout: Layout) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The hive folders and their rows; rows with equal values in every partition column share a folder."""
    if not layout.partition_columns:
        yield "", batch
        return
    parts = [_folder_names(batch[name], name, layout.partition_date_format) for name in layout.partition_columns]
    folders = pc.binary_join_element_wise(*parts, "", "/").dictionary_encode()
    for number, subfolder in enumerate(folders.dictionary.to_pylist()):
        yield subfolder, batch.filter(pc.equal(folders.indices, number))


def _folder_names(values: pa.Array, column: str, date_format: str) -> pa.Array:
    """`<column>_partition=<value>` for each row."""
    if pa.types.is_temporal(values.type) and not pa.types.is_time(values.type):
        values = pc.strftime(values, date_format)
    values = pc.cast(values, pa.string()).dictionary_encode()
    names = [f"{quote(column, safe='')}_partition={quote(value, safe='')}" for value in values.dictionary.to_pylist()]
    names.append(f"{quote(column, safe='')}_partition={NO_VALUE}")
    longest = max(names, key=len)
    if len(longest) > MAX_NAME_BYTES:
        raise ParameterError(
            f"partition_columns: a value of {column} makes a folder's name of {len(longest)} bytes, {longest[:60]}…, "
            f"the limit is {MAX_NAME_BYTES}; choose a column of short values, or cut it in execute_query (LEFT, SUBSTR)"
        )
    return pc.take(pa.array(names), pc.fill_null(values.indices, len(names) - 1))
