"""The folder of a dumped table: complete chunks are kept, and published all together.

    <root>/<dataset>/<table>/
        manifest.json                     the published table: its files, and nothing else, are the table
        versions/<version>/chunks/*.json  one record per complete chunk, written after its files
        versions/<version>/data/…         the files, in hive folders where there are partition columns

Publishing replaces manifest.json, in one step. An overwrite stages a new version and publishes it; an append adds
chunks to the published version. A run continues where an interrupted one stopped.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pyarrow as pa

import drift
from errors import ParameterError
from files import File, Layout, write_files
from reading import read_files
from records import Chunk, DumpMode, Manifest, Record, digest, span_of
from storage import Folder

# Chunks that an interrupted run read longer ago are read again: a table is not put together from different days
RESUME_WITHIN = timedelta(hours=24)


class Table:
    """The folder of one table."""

    def __init__(self, root: str, dataset_id: str, table_id: str) -> None:
        self._names = dataset_id, table_id
        self._folder = Folder(f"{root.rstrip('/')}/{dataset_id}/{table_id}")

    def lock(self) -> AbstractContextManager[None]:
        """Keep out a second run of the same table. Raises StorageError where one is at work."""
        return self._folder.lock()

    def published(self) -> Manifest | None:
        """The manifest that readers see; None before the first dump has ended."""
        content = self._folder.read("manifest.json")
        return Manifest.from_dict(json.loads(content)) if content else None

    def merged_schema(self, mode: DumpMode, chunks: list[Chunk], columns: pa.Schema) -> pa.Schema:
        """The table's columns once the chunks are in it.

        Raises ParameterError where an append would lose or change values, or mix up or cut published pieces.
        """
        schema, published = chunks[0].layout.schema(columns), self.published()
        if mode == "overwrite" or published is None:
            return schema
        merged = drift.merge(published.schema, schema, "what is published", "use dump_mode overwrite")
        _check_append(published, chunks)
        return merged

    def choose_version(self, mode: DumpMode, now: datetime) -> str:
        """The version to stage in: the published one for an append, else an interrupted one, or a new one."""
        published = self.published()
        if mode == "append" and published:
            return published.version
        unfinished = [
            version for version in self._folder.folders("versions") if published is None or version > published.version
        ]
        return unfinished[-1] if unfinished else f"{now:%Y%m%dT%H%M%S%fZ}"

    def reusable_records(self, version: str, chunks: list[Chunk], columns: pa.Schema, now: datetime) -> list[Record]:
        """The records of the chunks that need not be read again."""
        published = self.published()
        published_records = {record.id: record for record in published.chunks} if published else {}
        records = [record for chunk in chunks if (record := self._record(version, chunk))]
        return [
            record for record in records if self._is_reusable(record, published_records.get(record.id), columns, now)
        ]

    def _record(self, version: str, chunk: Chunk) -> Record | None:
        content = self._folder.read(f"versions/{version}/chunks/{chunk.id}.json")
        return Record.from_dict(json.loads(content)) if content else None

    def _is_reusable(self, record: Record, published: Record | None, columns: pa.Schema, now: datetime) -> bool:
        if not all(self._folder.size(file.path) == file.bytes for file in record.files):
            return False
        if record == published:
            return record.closed
        recent = now - datetime.fromisoformat(record.extracted_at) < RESUME_WITHIN
        if not recent or record.columns_hash != digest(str(columns)):
            return False
        return all(self._folder.sha256(file.path) == file.sha256 for file in record.files)

    def extract(
        self,
        version: str,
        chunk: Chunk,
        columns: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        progress: Callable[[int, int], None],
    ) -> Record:
        """Write the chunk's files, then its record: files without a record do not count.

        `progress` receives the number of batches and of rows so far.
        """
        extracted_at = datetime.now(UTC)
        files = write_files(
            self._folder,
            f"versions/{version}/data",
            chunk.id,
            batches,
            columns,
            chunk.layout,
            extracted_at,
            progress,
        )
        record = Record(
            id=chunk.id,
            query_hash=chunk.query_hash,
            start=str(chunk.period.start) if chunk.period else None,
            stop=str(chunk.period.stop) if chunk.period else None,
            extracted_at=extracted_at.isoformat(),
            seconds=round((datetime.now(UTC) - extracted_at).total_seconds(), 3),
            rows=sum(file.rows for file in files),
            bytes=sum(file.bytes for file in files),
            files=tuple(files),
            columns_hash=digest(str(columns)),
        )
        self._folder.write(f"versions/{version}/chunks/{chunk.id}.json", _json(record))
        return record

    def publish(
        self,
        mode: DumpMode,
        version: str,
        query: str,
        schema: pa.Schema,
        chunks: list[Chunk],
        records: list[Record],
        allow_empty: bool = False,
    ) -> Manifest:
        """Make the records the table (overwrite) or part of it (append), and remove files that no reader needs.

        Raises ParameterError where no rows would replace rows and `allow_empty` is not set.
        """
        if {chunk.id for chunk in chunks} != {record.id for record in records}:
            raise ValueError("not every chunk is complete")
        previous = self.published()
        kept = []
        if mode == "append" and previous:
            new_ids, span = {record.id for record in records}, span_of(chunks)
            kept = [
                record for record in previous.chunks if record.id not in new_ids and not (span and record.within(span))
            ]
        table = sorted([*kept, *records], key=lambda record: (record.start or "", record.extracted_at))
        manifest = self._manifest(mode, version, query, schema, chunks[0].layout, table)
        if previous and previous.rows and not manifest.rows and not allow_empty:
            raise ParameterError(
                f"allow_empty: the query gives no rows, and would replace the {previous.rows:,} that are published; "
                "look at execute_query, or give true where that is right"
            )
        self._folder.write("manifest.json", _json(manifest))
        self._clean(manifest)
        return manifest

    def draft(self, mode: DumpMode, query: str, schema: pa.Schema, chunks: list[Chunk]) -> Manifest:
        """The manifest as if the chunks gave no rows: a target tries it before the source is read."""
        published = self.published()
        kept = list(published.chunks) if mode == "append" and published else []
        return self._manifest(mode, "", query, schema, chunks[0].layout, kept)

    def _manifest(
        self, mode: DumpMode, version: str, query: str, schema: pa.Schema, layout: Layout, records: list[Record]
    ) -> Manifest:
        published = self.published()
        previous = None
        if published:
            previous = published.previous if published.version == version else published.version
        return Manifest(
            *self._names,
            version=version,
            previous=previous,
            dump_mode=mode,
            data_type=layout.data_type,
            query=query,
            published_at=datetime.now(UTC).isoformat(),
            rows=sum(record.rows for record in records),
            bytes=sum(record.bytes for record in records),
            columns={column.name: str(column.type) for column in schema},
            arrow_schema=base64.b64encode(schema.serialize()).decode(),
            partition_columns=layout.partition_columns,
            chunks=tuple(records),
        )

    def read(self, manifest: Manifest, records: Sequence[Record], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The records' rows as a stream, with the columns and types of the schema."""
        paths = [file.path for record in records for file in record.files]
        return read_files(self._folder, paths, manifest.schema, schema)

    def local(self, file: File) -> str | None:
        """The file's path on this machine, if it is there."""
        return self._folder.local(file.path)

    def _clean(self, manifest: Manifest) -> None:
        # the previous version stays for its readers
        for version in self._folder.folders("versions"):
            if version not in (manifest.version, manifest.previous):
                self._folder.remove(f"versions/{version}")
        place = f"versions/{manifest.version}"
        referenced = {file.path for record in manifest.chunks for file in record.files}
        referenced |= {f"{place}/chunks/{record.id}.json" for record in manifest.chunks}
        for path in self._folder.files(place):
            if path not in referenced:
                self._folder.remove(path)


def _check_append(published: Manifest, chunks: list[Chunk]) -> None:
    """Raise ParameterError where the chunks have another format or division than the published ones."""
    layout, span = chunks[0].layout, span_of(chunks)
    if published.data_type != layout.data_type:
        raise ParameterError(
            f"batch_data_type: the table is published as {published.data_type}; append the same, or use overwrite"
        )
    for record in published.chunks:
        if (record.start is None) != (span is None):
            raise ParameterError(
                "break_query_frequency: the published table was dumped "
                f"{'with' if span is None else 'without'} it; append likewise, or use dump_mode overwrite"
            )
        if span and record.overlaps(span) and not record.within(span):
            raise ParameterError(
                f"break_query_start: {span} cuts into the published {record.start}_{record.stop}; "
                "take the whole of it, or use dump_mode overwrite"
            )
    if span and published.partition_columns[0] != layout.partition_columns[0]:
        raise ParameterError(
            f"partition_columns: the published table was cut by {published.partition_columns[0]}; "
            "cut by the same, or use dump_mode overwrite"
        )


def _json(content: Record | Manifest) -> bytes:
    return json.dumps(asdict(content), indent=1, ensure_ascii=False).encode()
