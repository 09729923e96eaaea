"""The files of a dump back to rows, a batch at a time."""

from collections.abc import Iterable, Iterator
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from background import ahead
from errors import one_line
from hex_text import from_hex
from storage import Folder, StorageError

BATCH_ROWS = 16_384
# A row of CSV must fit into a block; for a larger row the blocks grow, up to Arrow's limit
BLOCK_BYTES = 32 * 1024 * 1024
MAX_BLOCK_BYTES = 2**31 - 1


def read_files(
    folder: Folder, paths: Iterable[str], dump_schema: pa.Schema, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The rows of the files, with the columns and types of `schema`.

    `dump_schema` has the columns of the dump, of which older files may have fewer. Raises StorageError for a file that
    cannot be read.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        for path in paths:
            read = _read_parquet if path.endswith(".parquet") else _read_csv
            try:
                yield from (_conform(batch, schema) for batch in read(folder, path, dump_schema))
            except (pa.ArrowException, OSError) as error:
                raise StorageError(
                    f"{path}: cannot be read ({one_line(error)}); dump it again with overwrite"
                ) from error

    with closing(ahead(batches())) as batches_ahead:
        yield from batches_ahead


def _read_parquet(folder: Folder, path: str, _dump_schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with folder.open(path) as file, parquet.ParquetFile(file) as content:
        yield from content.iter_batches(BATCH_ROWS, use_threads=False)


def _read_csv(folder: Folder, path: str, dump_schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    rows_read, block_bytes = 0, BLOCK_BYTES
    while True:
        try:
            for batch in _csv_batches(folder, path, dump_schema, rows_read, block_bytes):
                rows_read += batch.num_rows
                yield batch
            return
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error) or block_bytes == MAX_BLOCK_BYTES:
                raise
            block_bytes = min(block_bytes * 8, MAX_BLOCK_BYTES)


def _csv_batches(
    folder: Folder, path: str, dump_schema: pa.Schema, rows_to_skip: int, block_bytes: int
) -> Iterator[pa.RecordBatch]:
    with (
        folder.open(path) as file,
        csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=block_bytes, skip_rows_after_names=rows_to_skip),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={field.name: _csv_type(field.type) for field in dump_schema},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        ) as content,
    ):
        for batch in content:
            typed = [
                _typed(array, dump_schema.field(name).type)
                for name, array in zip(batch.schema.names, batch, strict=True)
            ]
            yield pa.record_batch(typed, names=batch.schema.names)


def _csv_type(type_: pa.DataType) -> pa.DataType:
    """The type to read from CSV, where bytes are text; Arrow does not read long decimals."""
    return pa.string() if pa.types.is_binary(type_) or pa.types.is_decimal256(type_) else type_


def _typed(values: pa.Array, type_: pa.DataType) -> pa.Array:
    return from_hex(values, type_) if pa.types.is_binary(type_) else values.cast(type_)


def _conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the columns of the schema: null where the batch lacks them, cast where they have grown since."""
    arrays = [
        pc.cast(batch[field.name], field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)
