"""What a run shows on Prefect's pages, and how its figures stand in its logs."""

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from stage import Manifest, Record
from targets import Result


def fields(**values: object) -> str:
    """`rows=5000 seconds=1.2`, for programs that read logs."""
    return " ".join(f"{name}={value}" for name, value in values.items())


class Progress:
    """How many of the pieces are read, as an artifact."""

    def __init__(self, dataset_id: str, table_id: str, pieces: int) -> None:
        self._pieces, self._percent = pieces, 0 if pieces else 100
        self._artifact = create_progress_artifact(
            progress=float(self._percent),
            key=_key(dataset_id, table_id, "progress"),
            description=f"Pieces of {dataset_id}.{table_id}",
        )

    def done(self, pieces: int) -> None:
        """Tell that so many pieces are read; each percent once."""
        percent = pieces * 100 // self._pieces
        if percent > self._percent:
            self._percent = percent
            update_progress_artifact(self._artifact, progress=float(percent))


def report(
    dataset_id: str,
    table_id: str,
    records: list[Record],
    present: set[str],
    manifest: Manifest | None,
    loaded: Result | None,
) -> None:
    """Show the pieces as a table, and what is published and loaded as a few lines."""
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
                "read": "before" if record.id in present else "now",
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
            + (f"{_loaded(loaded)}\n\n" if loaded else "")
            + "| column | type |\n|---|---|\n"
            + "".join(f"| {name} | {type_} |\n" for name, type_ in manifest.columns.items()),
            description=f"What is published of {dataset_id}.{table_id}",
        )


def _loaded(loaded: Result) -> str:
    changes = [f"added {name}" for name in loaded.added] + [f"widened {name}" for name in loaded.widened]
    return f"Loaded: {loaded.rows:,} rows of {loaded.chunks} pieces" + (f"; {', '.join(changes)}" if changes else "")


def _key(*parts: str) -> str:
    return "-".join(["db-dump", *parts]).lower().replace("_", "-").replace(".", "-")
