"""ADBC's driver for PostgreSQL."""

from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import pyarrow.dataset as dataset
import pyarrow.parquet as parquet


def extract(folder: Path, address: str, query: str) -> int:
    """PostgreSQL to Parquet."""
    with adbc.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        batches = cursor.fetch_record_batch()
        with parquet.ParquetWriter(folder / "all.parquet", batches.schema, compression="zstd") as file:
            for batch in batches:
                file.write_batch(batch)
    rows: int = parquet.read_metadata(folder / "all.parquet").num_rows
    return rows


def before_load(address: str, dump: str, table: str) -> None:
    """Remove the table, and write outstanding changes to disk."""
    with adbc.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute("CHECKPOINT")


def load(folder: Path, address: str, dump: str, table: str) -> int:
    """Parquet to a new table of PostgreSQL."""
    files = sorted(str(file) for file in Path(dump).rglob("*.parquet"))
    batches = dataset.dataset(files).scanner(batch_size=50_000).to_reader()
    with adbc.connect(address) as connection, connection.cursor() as cursor:
        rows: int = cursor.adbc_ingest(table, batches, mode="create")
        connection.commit()
    return rows
