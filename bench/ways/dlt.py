"""dlt, with its fastest streaming backend."""

import os
from pathlib import Path

import dlt
import pyarrow.parquet as parquet
from dlt.sources.sql_database import sql_table

os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}


def extract(folder: Path, address: str, query: str) -> int:
    """Database to Parquet; dlt reads the table and ignores the query."""
    table = sql_table(
        address.replace("mysql:", "mysql+pymysql:"),
        table="events",
        backend="connectorx",
        chunk_size=50_000,
        backend_kwargs={"return_type": "arrow_stream", "batch_size": 50_000},
    )
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "state"),
        destination=dlt.destinations.filesystem(folder.as_uri() + "/data"),
        dataset_name="bench",
    )
    pipeline.run(table, loader_file_format="parquet")
    rows: int = sum(parquet.read_metadata(file).num_rows for file in (folder / "data" / "bench" / "events").iterdir())
    return rows
