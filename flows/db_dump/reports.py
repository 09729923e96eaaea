"""The artifacts of a run, and the format of figures in its logs."""

from typing import cast
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from records import Manifest, Record
from targets import Result


def fields(**values: object) -> str:
    """`rows=5000 seconds=1.2`, which log tools can parse."""
    return " ".join(f"{name}={value}" for name, value in values.items())


class Progress:
    """An artifact that shows how many pieces have been read."""

    def __init__(self, dataset_id: str, table_id: str, pieces: int) -> None:
        self._pieces, self._percent = pieces, 0 if pieces else 100
        artifact = create_progress_artifact(
            progress=float(self._percent),
            key=_key(dataset_id, table_id, "progress"),
            description=f"Pieces of {dataset_id}.{table_id}",
        )
        # a coroutine in asynchronous flows only
        self._artifact = cast(UUID, artifact)

    def done(self, pieces: int) -> None:
        """Show the number of pieces read; the artifact changes once per percent."""
        percent = pieces * 100 // self._pieces
        if percent > self._percent:
            self._percent = percent
            update_progress_artifact(self._artifact, progress=float(percent))


def report(
    dataset_id: str,
    table_id: str,
    records: list[Record],
    reused: set[str],
    manifest: Manifest | None,
    load_result: Result | None,
) -> None:
    """Show the pieces as a table, and a summary of the published and loaded table."""
    create_table_artifact(
        key=_key(dataset_id, table_id),
        table=[
            {
                "from": record.start,
                "to, without": record.stop,
                "rows": record.rows,
                "bytes": record.bytes,
                "files": len(record.files),
                "seconds": record.seconds,
                "read": "before" if record.id in reused else "now",
            }
            for record in records
        ],
        description=f"Pieces of {dataset_id}.{table_id}",
    )
    if manifest:
        create_markdown_artifact(
            key=_key(dataset_id, table_id, "summary"),
            markdown=f"# {dataset_id}.{table_id}\n\n"
            f"{manifest.rows:,} rows, {manifest.bytes:,} bytes of {manifest.data_type}, "
            f"{sum(len(chunk.files) for chunk in manifest.chunks)} files, version `{manifest.version}`\n\n"
            + (f"{_load_summary(load_result)}\n\n" if load_result else "")
            + "| column | type |\n|---|---|\n"
            + "".join(f"| {name} | {type_} |\n" for name, type_ in manifest.columns.items()),
            description=f"What is published of {dataset_id}.{table_id}",
        )


def _load_summary(result: Result) -> str:
    changes = [f"added {name}" for name in result.added] + [f"widened {name}" for name in result.widened]
    return f"Loaded: {result.rows:,} rows of {result.chunks} pieces" + (f"; {', '.join(changes)}" if changes else "")


def _key(*parts: str) -> str:
    return "-".join(["db-dump", *parts]).lower().replace("_", "-").replace(".", "-")
