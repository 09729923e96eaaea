"""What can go wrong with a target, and one way to say it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa


class TargetError(Exception):
    """The target refuses what it is given: trying again gives the same."""


class TargetUnavailable(TargetError):
    """The target cannot be reached or broke off: trying again may help."""


def one_line(error: object) -> str:
    """The driver's message without its line breaks."""
    return " ".join(str(error).split())


@contextmanager
def stream(rows: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatchReader]:
    """The rows as drivers take them. What fails in reading them is raised as it is, not as the driver words it."""
    failed = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from rows
        except Exception as error:
            failed.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(schema, watched())
    except Exception:
        if failed:
            raise failed[0] from None
        raise
