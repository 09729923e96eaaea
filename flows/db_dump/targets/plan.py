"""What a load has to do: the difference between the published table and the target's table."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa

from drift import Changes
from records import Manifest, Record

from .errors import TargetError

# A table beside the loaded ones: a row for each chunk whose rows are in one of them, written in the same transaction
LEDGER = "_db_dump_chunks"
LEDGER_SCHEMA = pa.schema(
    [
        ("table_id", pa.string()),
        ("chunk_id", pa.string()),
        ("digest", pa.string()),
        ("start", pa.string()),
        ("stop", pa.string()),
        ("rows", pa.int64()),
        ("loaded_at", pa.timestamp("us", "UTC")),
    ]
)


@dataclass(frozen=True)
class LedgerEntry:
    """A row of the ledger."""

    table_id: str
    chunk_id: str
    digest: str
    start: str | None
    stop: str | None
    rows: int
    loaded_at: datetime

    @property
    def days(self) -> tuple[str, str] | None:
        """The days [start, stop), or None where the chunk has no period."""
        return None if self.start is None or self.stop is None else (self.start, self.stop)


@dataclass(frozen=True)
class Plan:
    """The chunks to load, the days [start, stop) whose rows are deleted before, and the ledger after the load."""

    load: tuple[Record, ...]
    delete: tuple[tuple[str, str], ...]
    ledger: tuple[LedgerEntry, ...]

    @property
    def rows(self) -> int:
        return sum(record.rows for record in self.load)

    @property
    def ledger_rows(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist([asdict(entry) for entry in self.ledger], LEDGER_SCHEMA)

    def check(self, rows: int) -> None:
        """Raise TargetError where the target received another number of rows than the files have."""
        if rows != self.rows:
            raise TargetError(
                f"{rows:,} rows came into the target, the files have {self.rows:,}; nothing was changed. "
                "Look for a trigger or a rule on the table"
            )


@dataclass(frozen=True)
class Result:
    """What a load did."""

    rows: int
    chunks: int
    added: tuple[str, ...]
    widened: tuple[str, ...]

    @classmethod
    def from_plan(cls, plan: Plan, changes: Changes | None) -> "Result":
        added, widened = (changes.added, changes.widened) if changes else ((), ())
        names = [tuple(field.name for field in fields) for fields in (added, widened)]
        return cls(plan.rows, len(plan.load), *names)


def make_plan(manifest: Manifest, ledger: Sequence[LedgerEntry] = ()) -> Plan:
    """All chunks for an overwrite. For an append the chunks that the target lacks; their days are emptied first."""
    overwrite = manifest.dump_mode == "overwrite"
    loaded = {} if overwrite else {(entry.chunk_id, entry.digest): entry for entry in ledger}
    load = [record for record in manifest.chunks if (record.id, record.digest) not in loaded]
    now = datetime.now(UTC)
    new_ledger = [
        loaded.get((record.id, record.digest))
        or LedgerEntry(manifest.table_id, record.id, record.digest, record.start, record.stop, record.rows, now)
        for record in manifest.chunks
    ]
    unpublished = [entry for entry in loaded.values() if entry not in new_ledger]
    if undated := [entry.chunk_id for entry in unpublished if entry.start is None]:
        raise TargetError(
            f"dump_mode: the table has rows of {undated[0]}, which is no longer published, and no days identify them; "
            "use overwrite once"
        )
    days = [] if overwrite else _joined_days([*unpublished, *load])
    return Plan(tuple(load), tuple(days), tuple(new_ledger))


def plan_rehearsal(manifest: Manifest, ledger: Sequence[LedgerEntry] = ()) -> Plan:
    """A load of no rows, for a target to try and undo. Raises what `make_plan` raises."""
    make_plan(manifest, ledger)
    return Plan((), (), ())


def empty_replacement(table: str) -> TargetError:
    """The error for a load that would replace rows by no rows."""
    return TargetError(
        f"allow_empty: the query gives no rows, and would replace those of {table}; "
        "look at execute_query, or give true where that is right"
    )


def _joined_days(chunks: Iterable[Record | LedgerEntry]) -> list[tuple[str, str]]:
    """The chunks' days; ranges that touch or overlap become one."""
    ranges: list[tuple[str, str]] = []
    for start, stop in sorted(chunk.days for chunk in chunks if chunk.days):
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = ranges[-1][0], max(stop, ranges[-1][1])
        else:
            ranges.append((start, stop))
    return ranges
