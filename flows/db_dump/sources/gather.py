"""Small pieces of a result, put together into batches."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

# Rows can be wide: a batch ends at this many bytes, however few rows it has
BATCH_BYTES = 64 * 1024 * 1024


def gather(pieces: Iterable[pa.RecordBatch], batch_size: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `batch_size`, or fewer where they are wide."""
    parts: list[pa.RecordBatch] = []
    rows = size = 0
    for piece in pieces:
        while piece.num_rows:
            part = piece.slice(0, batch_size - rows)
            piece = piece.slice(part.num_rows)
            parts.append(part)
            rows += part.num_rows
            size += part.nbytes
            if rows == batch_size or size >= BATCH_BYTES:
                yield pa.concat_batches(parts)
                parts, rows, size = [], 0, 0
    if parts:
        yield pa.concat_batches(parts)
