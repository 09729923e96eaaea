"""A published table to load: what the tests of the targets begin with."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa

from files import Layout
from periods import split
from records import Chunk
from stage import Table

SCHEMA = pa.schema([("id", pa.int32()), ("day", pa.date32()), ("amount", pa.decimal128(12, 2))])
JAN, FEB, MAR, APR = (date(2024, month, 1) for month in (1, 2, 3, 4))


def rows(*ids, day=JAN, **more):
    return [{"id": id, "day": day, "amount": Decimal("1.10")} | more for id in ids]


class Published:
    """The table, and the target it is loaded into."""

    def __init__(self, root, target, dataset_id="shop"):
        self.table, self.target = Table(str(root), dataset_id, "orders"), target

    def publish(self, mode, *chunks, schema=SCHEMA, run="db", data_type="parquet"):
        """Each chunk is its first day, or None, and its rows."""
        layout, now = Layout(data_type, ("day",), add_timestamp_column=False), datetime.now(UTC)
        periods = [next(split(day, APR, "month")) if day else None for day, _ in chunks]
        return self._publish(
            mode,
            schema,
            [(Chunk(f"{p}", p, layout, run), rows) for p, (_, rows) in zip(periods, chunks, strict=True)],
            now,
        )

    def publish_values(self, schema, *rows, data_type="parquet", **more):
        """All rows in one piece, whatever their columns."""
        chunk = Chunk("q", None, Layout(data_type, add_timestamp_column=False), "db")
        return self._publish("overwrite", schema, [(chunk, list(rows))], datetime.now(UTC), **more)

    def load(self, *arguments, **more):
        return self.target.load(self.table, self.publish(*arguments, **more))

    def load_values(self, schema, *rows, **more):
        return self.target.load(self.table, self.publish_values(schema, *rows, **more))

    def check(self, schema, mode="overwrite", **names):
        """What the target has against a dump with these columns."""
        layout = Layout("parquet", add_timestamp_column=False)
        draft = self.table.draft(mode, "q", schema, [Chunk("q", None, layout, "db")])
        self.target.check(self.table, replace(draft, **names))

    def _publish(self, mode, schema, chunks, now, **more):
        pieces = [piece for piece, _ in chunks]
        merged, version = self.table.merged_schema(mode, pieces, schema), self.table.choose_version(mode, now)
        records = [
            self.table.extract(version, piece, schema, [pa.RecordBatch.from_pylist(rows, schema)], lambda *_: None)
            for piece, rows in chunks
        ]
        return self.table.publish(mode, version, "q", merged, pieces, records, **more)
