"""What a load has to do: the difference between what is published and what the target has."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa

from drift import Changes
from stage import Manifest, Record

from .errors import TargetError

# A table beside those loaded: one row for each chunk whose rows are in one of them, written in the same transaction
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
class Loaded:
    """A row of the ledger."""

    table_id: str
    chunk_id: str
    digest: str
    start: str | None
    stop: str | None
    rows: int
    loaded_at: datetime


@dataclass(frozen=True)
class Plan:
    """The chunks to load, the days whose rows are deleted before, [start, stop) each, and the ledger after it."""

    load: tuple[Record, ...]
    delete: tuple[tuple[str, str], ...]
    ledger: tuple[Loaded, ...]

    @property
    def rows(self) -> int:
        return sum(record.rows for record in self.load)

    @property
    def ledger_rows(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist([asdict(entry) for entry in self.ledger], LEDGER_SCHEMA)

    def check(self, rows: int) -> None:
        """Refuse to go on where the target has not the rows that the files have."""
        if rows != self.rows:
            raise TargetError(
                f"{rows:,} rows came into the target, the files have {self.rows:,}; nothing was changed. "
                "Look for a trigger or a rule on the table"
            )


@dataclass(frozen=True)
class Result:
    """What a load has done."""

    rows: int
    chunks: int
    added: tuple[str, ...]
    widened: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan, changes: Changes | None) -> "Result":
        added, widened = (changes.added, changes.widened) if changes else ((), ())
        return cls(plan.rows, len(plan.load), tuple(f.name for f in added), tuple(f.name for f in widened))


def make_plan(manifest: Manifest, ledger: Sequence[Loaded] = ()) -> Plan:
    """All chunks for an overwrite. For an append those that the target lacks; the days of each are emptied first."""
    there = {} if manifest.dump_mode == "overwrite" else {(entry.chunk_id, entry.digest): entry for entry in ledger}
    load = [record for record in manifest.chunks if (record.id, record.digest) not in there]
    now = datetime.now(UTC)
    after = [
        there.get((record.id, record.digest))
        or Loaded(manifest.table_id, record.id, record.digest, record.start, record.stop, record.rows, now)
        for record in manifest.chunks
    ]
    gone = [entry for entry in there.values() if entry not in after]
    if lost := [entry.chunk_id for entry in gone if entry.start is None]:
        raise TargetError(
            f"dump_mode: the table has rows of {lost[0]}, which is no longer published, and no days tell them apart; "
            "use overwrite once"
        )
    days = [] if manifest.dump_mode == "overwrite" else _spans([*gone, *load])
    return Plan(tuple(load), tuple(days), tuple(after))


def rehearsed(manifest: Manifest, ledger: Sequence[Loaded] = ()) -> Plan:
    """A load of no rows, once `make_plan` has nothing against one: for a target to try, and undo."""
    make_plan(manifest, ledger)
    return Plan((), (), ())


def emptied(table: str) -> TargetError:
    """The refusal to replace rows by none."""
    return TargetError(
        f"allow_empty: the query gives no rows, and would replace those of {table}; "
        "look at execute_query, or give true where that is right"
    )


def _spans(chunks: Iterable[Record | Loaded]) -> list[tuple[str, str]]:
    """Their days, put together where one follows another."""
    spans = []
    for start, stop in sorted((chunk.start, chunk.stop) for chunk in chunks if chunk.start is not None):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(stop, spans[-1][1])
        else:
            spans.append((start, stop))
    return spans
