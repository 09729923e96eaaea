"""ConnectorX."""

from pathlib import Path

import connectorx
import pyarrow.parquet as parquet


def extract(folder: Path, address: str, query: str) -> int:
    """Database to Parquet, in batches."""
    batches = connectorx.read_sql(address, query, return_type="arrow_stream", batch_size=50_000)
    with parquet.ParquetWriter(folder / "all.parquet", batches.schema, compression="zstd") as file:
        for batch in batches:
            file.write_batch(batch)
    rows: int = parquet.read_metadata(folder / "all.parquet").num_rows
    return rows
