"""The parts of a dump: chunks to read, records of complete chunks, and the manifest of the published table."""

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time
from typing import Any, Literal

import pyarrow as pa

from errors import ParameterError
from files import File, Layout
from periods import Period

DumpMode = Literal["overwrite", "append"]


def digest(*parts: object) -> str:
    """A short hash of the parts, for names."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Chunk:
    """One query of a dump, and the days it covers, if it is limited to some."""

    query: str
    period: Period | None
    layout: Layout
    # distinguishes equal queries: the database, or the run where each run adds its own rows
    origin: str

    @property
    def name(self) -> str:
        """The chunk's name in logs."""
        return str(self.period or "all rows")

    @property
    def query_hash(self) -> str:
        return digest(self.query)

    @property
    def id(self) -> str:
        return f"{self.period or 'all'}-{digest(self.query, asdict(self.layout), self.origin)}"


@dataclass(frozen=True)
class Record:
    """A chunk that was read to its end."""

    id: str
    query_hash: str
    start: str | None
    stop: str | None
    extracted_at: str
    seconds: float
    rows: int
    bytes: int
    files: tuple[File, ...]
    # shows whether the query still gives the same columns; published chunks may have older ones
    columns_hash: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Record":
        return cls(**values | {"files": tuple(File(**file) for file in values["files"])})

    @property
    def digest(self) -> str:
        """Equal for records with equal files."""
        return digest(sorted(file.sha256 for file in self.files))

    @property
    def days(self) -> tuple[str, str] | None:
        """The days [start, stop), or None where the chunk has no period."""
        return None if self.start is None or self.stop is None else (self.start, self.stop)

    @property
    def closed(self) -> bool:
        """Its days were over when it was read, so no row should have come since."""
        if self.stop is None:
            return True
        end = datetime.combine(datetime.fromisoformat(self.stop), time(), UTC)
        return datetime.fromisoformat(self.extracted_at) >= end

    def within(self, span: Period) -> bool:
        """All of its days lie in the span."""
        return self.days is not None and str(span.start) <= self.days[0] and self.days[1] <= str(span.stop)

    def overlaps(self, span: Period) -> bool:
        """Some of its days lie in the span."""
        return self.days is not None and self.days[0] < str(span.stop) and str(span.start) < self.days[1]


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
    # for people; arrow_schema has the exact types
    columns: dict[str, str]
    arrow_schema: str
    partition_columns: tuple[str, ...]
    chunks: tuple[Record, ...]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Manifest":
        chunks = tuple(Record.from_dict(chunk) for chunk in values["chunks"])
        # a manifest of an older release lacks these, which only an append and a load need
        values = {"arrow_schema": "", "partition_columns": ()} | values
        return cls(**values | {"chunks": chunks, "partition_columns": tuple(values["partition_columns"])})

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table; older files may have fewer and narrower ones."""
        if not self.arrow_schema:
            raise ParameterError(
                "dump_mode: the published table is of an older release, which did not keep its column types; "
                "use overwrite once"
            )
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.arrow_schema)))


def span_of(chunks: list[Chunk]) -> Period | None:
    """From the first day of the chunks to the last; None where they have no periods."""
    periods = [chunk.period for chunk in chunks if chunk.period]
    return Period(periods[0].start, periods[-1].stop) if periods else None
