"""The files of a dump back to rows, a batch at a time."""

from collections.abc import Iterable, Iterator
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from background import ahead
from storage import Folder, StorageError

BATCH_ROWS = 16_384
# A row of CSV must fit; where one does not, larger blocks are taken, up to the most that Arrow has
BLOCK_BYTES = 32 * 1024 * 1024
MOST_BYTES = 2**31 - 1


def read_files(folder: Folder, paths: Iterable[str], columns: pa.Schema, wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of the files as `wanted`; `columns` are those of the dump, of which older files may have fewer."""

    def batches() -> Iterator[pa.RecordBatch]:
        for path in paths:
            read = _read_parquet if path.endswith(".parquet") else _read_csv
            try:
                yield from (_fit(batch, wanted) for batch in read(folder, path, columns))
            except (pa.ArrowException, OSError) as error:
                cause = " ".join(str(error).split())
                raise StorageError(f"{path}: cannot be read ({cause}); dump it again with overwrite") from error

    with closing(ahead(batches())) as coming:
        yield from coming


def _read_parquet(folder: Folder, path: str, _columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    with folder.open(path) as file, parquet.ParquetFile(file) as content:
        yield from content.iter_batches(BATCH_ROWS, use_threads=False)


def _read_csv(folder: Folder, path: str, columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    rows, block = 0, BLOCK_BYTES
    while True:
        try:
            for batch in _csv_batches(folder, path, columns, rows, block):
                rows += batch.num_rows
                yield batch
            return
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error) or block == MOST_BYTES:
                raise
            block = min(block * 8, MOST_BYTES)


def _csv_batches(
    folder: Folder, path: str, columns: pa.Schema, skipped: int, block_bytes: int
) -> Iterator[pa.RecordBatch]:
    with (
        folder.open(path) as file,
        csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=block_bytes, skip_rows_after_names=skipped),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={field.name: _read_as(field.type) for field in columns},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        ) as content,
    ):
        for batch in content:
            typed = [
                _typed(array, columns.field(name).type) for name, array in zip(batch.schema.names, batch, strict=True)
            ]
            yield pa.record_batch(typed, names=batch.schema.names)


def _read_as(type_: pa.DataType) -> pa.DataType:
    """Bytes lie in CSV as text, and long decimals are none that Arrow reads."""
    return pa.string() if pa.types.is_binary(type_) or pa.types.is_decimal256(type_) else type_


def _typed(values: pa.Array, type_: pa.DataType) -> pa.Array:
    if pa.types.is_binary(type_):
        return pa.array([None if text is None else bytes.fromhex(text[2:]) for text in values.to_pylist()], type_)
    return values.cast(type_)


def _fit(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """The batch with the wanted columns: null where it has none, cast where they have grown since."""
    arrays = [
        pc.cast(batch[field.name], field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in wanted
    ]
    return pa.record_batch(arrays, schema=wanted)
