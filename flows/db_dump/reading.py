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
# A row of CSV must fit
BLOCK_BYTES = 32 * 1024 * 1024


def read_files(folder: Folder, paths: Iterable[str], columns: pa.Schema, wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of the files as `wanted`; `columns` are those of the dump, of which older files may have fewer."""

    def batches() -> Iterator[pa.RecordBatch]:
        for path in paths:
            with folder.open(path) as file:
                try:
                    yield from (_fit(batch, wanted) for batch in _read(file, path, columns))
                except (pa.ArrowException, OSError) as error:
                    cause = " ".join(str(error).split())
                    raise StorageError(f"{path}: cannot be read ({cause}); dump it again with overwrite") from error

    with closing(ahead(batches())) as coming:
        yield from coming


def _read(file: pa.NativeFile, path: str, columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    if path.endswith(".parquet"):
        with parquet.ParquetFile(file) as content:
            yield from content.iter_batches(BATCH_ROWS, use_threads=False)
        return
    # bytes lie in CSV as text
    types = {field.name: pa.string() if pa.types.is_binary(field.type) else field.type for field in columns}
    with csv.open_csv(
        file,
        read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    ) as content:
        for batch in content:
            for number, field in enumerate(batch.schema):
                if pa.types.is_binary(columns.field(field.name).type):
                    values = [None if text is None else bytes.fromhex(text[2:]) for text in batch[number].to_pylist()]
                    batch = batch.set_column(number, field.name, pa.array(values, pa.binary()))
            yield batch


def _fit(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """The batch with the wanted columns: null where it has none, cast where they have grown since."""
    arrays = [
        pc.cast(batch[field.name], field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in wanted
    ]
    return pa.record_batch(arrays, schema=wanted)
