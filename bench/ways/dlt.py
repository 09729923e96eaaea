"""dlt, with each of its backends that streams Arrow."""

import os
from functools import partial
from pathlib import Path

import dlt
import pyarrow.parquet as parquet
from dlt.sources.sql_database import sql_table

os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}


def extract(folder: Path, address: str, query: str, backend: str) -> int:
    """Database to Parquet; dlt reads the table, the query is not needed."""
    options = {"return_type": "arrow_stream", "batch_size": 50_000} if backend == "connectorx" else {}
    table = sql_table(
        address.replace("mysql:", "mysql+pymysql:") if backend == "pyarrow" else address,
        table="events",
        backend=backend,
        chunk_size=50_000,
        backend_kwargs=options,
    )
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "state"),
        destination=dlt.destinations.filesystem(folder.as_uri() + "/data"),
        dataset_name="bench",
    )
    pipeline.run(table, loader_file_format="parquet")
    return sum(parquet.read_metadata(file).num_rows for file in (folder / "data" / "bench" / "events").iterdir())


by_pyarrow = partial(extract, backend="pyarrow")
by_connectorx = partial(extract, backend="connectorx")
