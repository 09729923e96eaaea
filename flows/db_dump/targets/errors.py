"""What can go wrong with a target."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa


class TargetError(Exception):
    """The target refuses the load: trying again gives the same result."""


class TargetUnavailable(TargetError):
    """The target cannot be reached, or the connection broke: trying again may help."""


@contextmanager
def stream(rows: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatchReader]:
    """The rows as drivers take them. An error in reading them is raised as it is, not as the driver words it."""
    errors: list[Exception] = []

    def watched_rows() -> Iterator[pa.RecordBatch]:
        try:
            yield from rows
        except Exception as error:
            errors.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(schema, watched_rows())
    except Exception:
        if errors:
            raise errors[0] from None
        raise
