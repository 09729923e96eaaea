"""The folder of a dumped table: chunks that are whole are kept, and published all together.

    <root>/<dataset>/<table>/
        manifest.json                     the published table: its files, and nothing else, are the table
        versions/<version>/chunks/*.json  one record a whole chunk, written after its files
        versions/<version>/data/…         the files, in hive folders where there are partition columns

Publishing replaces manifest.json, in one step. An overwrite stages a new version and publishes that; an append adds
chunks to the published version. A run that broke off is taken up where it stopped.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal

import pyarrow as pa

import drift
from files import File, Layout, write_files
from periods import Period
from query import ParameterError
from reading import read_files
from storage import Folder

DumpMode = Literal["overwrite", "append"]

# A chunk read longer ago by a run that broke off is read again: a table is not put together from different days
RESUME_WITHIN = timedelta(hours=24)


def digest(*parts: object) -> str:
    """A short name for what the parts say."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Chunk:
    """One query of a dump, and the days it covers, if it is limited to some."""

    query: str
    period: Period | None
    layout: Layout
    # tells apart what the query does not say: the database, or the run where each run adds its own rows
    origin: str

    @property
    def name(self) -> str:
        """For people."""
        return str(self.period or "all rows")

    @property
    def query_hash(self) -> str:
        return digest(self.query)

    @property
    def id(self) -> str:
        return f"{self.period or 'all'}-{digest(self.query, asdict(self.layout), self.origin)}"


@dataclass(frozen=True)
class Record:
    """A chunk that is whole."""

    id: str
    query_hash: str
    start: str | None
    stop: str | None
    extracted_at: str
    seconds: float
    rows: int
    bytes: int
    files: tuple[File, ...]
    # tells whether the query still gives the same columns; published chunks may have older ones
    columns_hash: str = ""

    @classmethod
    def of(cls, values: dict) -> "Record":
        return cls(**values | {"files": tuple(File(**file) for file in values["files"])})

    @property
    def digest(self) -> str:
        """The same where the files are."""
        return digest(sorted(file.sha256 for file in self.files))

    @property
    def closed(self) -> bool:
        """Its days were over when it was read, so no row should have come since."""
        if self.stop is None:
            return True
        over = datetime.combine(datetime.fromisoformat(self.stop), time(), UTC)
        return datetime.fromisoformat(self.extracted_at) >= over


@dataclass(frozen=True)
class Manifest:
    """The published table."""

    dataset_id: str
    table_id: str
    version: str
    previous: str | None
    dump_mode: DumpMode
    data_type: str
    query: str
    published_at: str
    rows: int
    bytes: int
    # for people; arrow_schema says the same exactly, as Parquet files say it
    columns: dict[str, str]
    arrow_schema: str
    partition_columns: tuple[str, ...]
    chunks: tuple[Record, ...]

    @classmethod
    def of(cls, values: dict) -> "Manifest":
        chunks = tuple(Record.of(chunk) for chunk in values["chunks"])
        # a manifest of an older release lacks some, which only an append and a load need
        values = {"arrow_schema": "", "partition_columns": ()} | values
        return cls(**values | {"chunks": chunks, "partition_columns": tuple(values["partition_columns"])})

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table; older files may have fewer, and narrower ones."""
        if not self.arrow_schema:
            raise ParameterError(
                "dump_mode: the published table is of an older release, which did not keep its column types; "
                "use overwrite once"
            )
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.arrow_schema)))


class Table:
    """The folder of one table."""

    def __init__(self, root: str, dataset_id: str, table_id: str) -> None:
        self._names = dataset_id, table_id
        self._folder = Folder(f"{root.rstrip('/')}/{dataset_id}/{table_id}")

    def lock(self) -> AbstractContextManager[None]:
        """Keeps a second run of the same table out."""
        return self._folder.lock()

    def published(self) -> Manifest | None:
        """What readers see; None before the first dump has ended."""
        content = self._folder.read("manifest.json")
        return Manifest.of(json.loads(content)) if content else None

    def columns(self, mode: DumpMode, chunks: list[Chunk], columns: pa.Schema) -> pa.Schema:
        """The table's columns once the chunks are in it; refuses to append what does not fit what is published."""
        layout = chunks[0].layout
        schema, published = layout.schema(columns), self.published()
        if mode == "overwrite" or published is None:
            return schema
        if published.data_type != layout.data_type:
            raise ParameterError(
                f"batch_data_type: the table is published as {published.data_type}; append the same, or use overwrite"
            )
        merged = drift.merge(published.schema, schema, "what is published", "use dump_mode overwrite")
        whole = _span(chunks)
        for record in published.chunks:
            if (record.start is None) != (whole is None):
                raise ParameterError(
                    "break_query_frequency: the published table was dumped "
                    f"{'with' if whole is None else 'without'} it; append likewise, or use dump_mode overwrite"
                )
            if whole and _touches(record, whole) and not _within(record, whole):
                raise ParameterError(
                    f"break_query_start: {whole} cuts into the published {record.start}_{record.stop}; "
                    "take the whole of it, or use dump_mode overwrite"
                )
        if whole and published.partition_columns[0] != layout.partition_columns[0]:
            raise ParameterError(
                f"partition_columns: the published table was cut by {published.partition_columns[0]}; "
                "cut by the same, or use dump_mode overwrite"
            )
        return merged

    def begin(self, mode: DumpMode, now: datetime) -> str:
        """The version to stage in: the published one for an append, else the one that broke off, or a new one."""
        published = self.published()
        if mode == "append" and published:
            return published.version
        unfinished = [
            version for version in self._folder.folders("versions") if published is None or version > published.version
        ]
        return unfinished[-1] if unfinished else f"{now:%Y%m%dT%H%M%S%fZ}"

    def whole(self, version: str, chunks: list[Chunk], columns: pa.Schema, now: datetime) -> list[Record]:
        """The records of those chunks that need not be read again."""
        published = self.published()
        settled = {record.id: record for record in published.chunks} if published else {}
        records = [self._record(version, chunk) for chunk in chunks]
        return [record for record in records if record and self._holds(record, settled.get(record.id), columns, now)]

    def _record(self, version: str, chunk: Chunk) -> Record | None:
        content = self._folder.read(f"versions/{version}/chunks/{chunk.id}.json")
        return Record.of(json.loads(content)) if content else None

    def _holds(self, record: Record, published: Record | None, columns: pa.Schema, now: datetime) -> bool:
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
        """Write the chunk's files, then its record: only with the record it counts."""
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
        """Make the records the table (overwrite) or part of it (append), and remove what nobody reads any more."""
        if {chunk.id for chunk in chunks} != {record.id for record in records}:
            raise ValueError("not every chunk is whole")
        before = self.published()
        kept = []
        if mode == "append" and before:
            new, whole = {record.id for record in records}, _span(chunks)
            kept = [old for old in before.chunks if old.id not in new and not (whole and _within(old, whole))]
        table = sorted([*kept, *records], key=lambda record: (record.start or "", record.extracted_at))
        manifest = self._manifest(mode, version, query, schema, chunks[0].layout, table)
        if before and before.rows and not manifest.rows and not allow_empty:
            raise ParameterError(
                f"allow_empty: the query gives no rows, and would replace the {before.rows:,} that are published; "
                "look at execute_query, or give true where that is right"
            )
        self._folder.write("manifest.json", _json(manifest))
        self._clean(manifest)
        return manifest

    def draft(self, mode: DumpMode, query: str, schema: pa.Schema, chunks: list[Chunk]) -> Manifest:
        """What would be published if the chunks gave no rows: for a target to try before anything is read."""
        before = self.published()
        kept = list(before.chunks) if mode == "append" and before else []
        return self._manifest(mode, "", query, schema, chunks[0].layout, kept)

    def _manifest(
        self, mode: DumpMode, version: str, query: str, schema: pa.Schema, layout: Layout, records: list[Record]
    ) -> Manifest:
        before = self.published()
        return Manifest(
            *self._names,
            version=version,
            previous=before.previous if before and before.version == version else before and before.version,
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

    def read(self, manifest: Manifest, records: Sequence[Record], wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The records' rows as a stream, each column of the type that is wanted."""
        paths = [file.path for record in records for file in record.files]
        return read_files(self._folder, paths, manifest.schema, wanted)

    def local(self, file: File) -> str | None:
        """The file's path on this machine, if it is there."""
        return self._folder.local(file.path)

    def _clean(self, manifest: Manifest) -> None:
        # the version before stays for those who are still reading it
        for version in self._folder.folders("versions"):
            if version not in (manifest.version, manifest.previous):
                self._folder.remove(f"versions/{version}")
        place = f"versions/{manifest.version}"
        wanted = {file.path for record in manifest.chunks for file in record.files}
        wanted |= {f"{place}/chunks/{record.id}.json" for record in manifest.chunks}
        for path in self._folder.files(place):
            if path not in wanted:
                self._folder.remove(path)


def _span(chunks: list[Chunk]) -> Period | None:
    periods = [chunk.period for chunk in chunks if chunk.period]
    return Period(periods[0].start, periods[-1].stop) if periods else None


def _within(record: Record, whole: Period) -> bool:
    return record.start is not None and str(whole.start) <= record.start and record.stop <= str(whole.stop)


def _touches(record: Record, whole: Period) -> bool:
    return record.start < str(whole.stop) and str(whole.start) < record.stop


def _json(content: Record | Manifest) -> bytes:
    return json.dumps(asdict(content), indent=1, ensure_ascii=False).encode()
