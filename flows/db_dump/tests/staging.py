"""Dumps of a small source into a folder, as the flow makes them."""

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from files import Layout
from periods import split
from records import Chunk
from stage import Table

LAYOUT = Layout("parquet", ("day",), "%Y-%m", add_timestamp_column=False)
SCHEMA = pa.schema([("id", pa.int64()), ("day", pa.date32())])
NOW = datetime.now(UTC)


def pieces(start, stop, query="SELECT *", layout=LAYOUT):
    return [Chunk(f"{query} {piece}", piece, layout, "db") for piece in split(start, stop, "month")]


def rows(*ids, day=date(2024, 1, 1), schema=SCHEMA):
    return [pa.RecordBatch.from_pylist([{"id": id, "day": day} for id in ids], schema)]


class Dump:
    """Runs the steps the flow runs; `source` maps the first day of a piece to its ids, `reads` notes what was read."""

    def __init__(self, root):
        self.root = str(root)
        self.table = Table(self.root, "shop", "orders")
        self.reads = []

    def run(self, mode, chunks, source, now=None, stop_after=None, schema=SCHEMA):
        now = now or datetime.now(UTC)
        merged = self.table.merged_schema(mode, chunks, schema)
        version = self.table.choose_version(mode, now)
        self.reads = []
        records = []
        for chunk in chunks:
            if stop_after is not None and len(records) == stop_after:
                return None
            whole = self.table.reusable_records(version, [chunk], schema, now)
            if whole:
                [record] = whole
            else:
                start = chunk.period and chunk.period.start
                self.reads.append(start)
                batches = rows(*source[start], day=start or date(2024, 1, 1), schema=schema)
                record = self.table.extract(version, chunk, schema, batches, lambda *_: None)
            records.append(record)
        return self.table.publish(mode, version, "SELECT *", merged, chunks, records)

    def ids(self):
        base = Path(self.root, "shop", "orders")
        manifest = self.table.published()
        files = [base / file.path for chunk in manifest.chunks for file in chunk.files]
        return sorted(id for file in files for id in parquet.ParquetFile(file).read()["id"].to_pylist())

    def files(self):
        base = Path(self.root, "shop", "orders")
        return {str(path.relative_to(base)) for path in base.rglob("*.parquet")}


JAN, FEB, MAR, APR = (date(2024, month, 1) for month in (1, 2, 3, 4))
SOURCE = {JAN: [1, 2], FEB: [3], MAR: [4, 5]}
