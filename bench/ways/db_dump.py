"""The project's own code, without Prefect around it."""

import shutil
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from files import Layout, write_files
from records import Chunk
from sources import Login, Source, open_source
from stage import Table
from storage import Folder
from targets import open_target

BATCH_ROWS = 50_000
LAYOUT = Layout("parquet", add_timestamp_column=False)


def source_at(address: str) -> Source:
    """The database at an address of the form scheme://user:password@host/database."""
    parts = urlsplit(address)
    login = Login(parts.hostname or "", parts.path.strip("/"), parts.username or "", parts.password or "", parts.port)
    return open_source({"postgresql": "postgres"}.get(parts.scheme, parts.scheme), login)


def extract(folder: Path, address: str, query: str) -> int:
    """Database to Parquet."""
    source = source_at(address)
    with closing(source.batches(query, BATCH_ROWS)) as batches:
        columns = source.columns(query)
        files = write_files(
            Folder(str(folder)), "data", "all", batches, columns, LAYOUT, datetime.now(UTC), lambda *_: None
        )
    return sum(file.rows for file in files)


def extract_in_two(folder: Path, address: str, query: str) -> int:
    """Database to Parquet in two processes; each reads half of the rows."""
    halves = [f"{query} WHERE id % 2 = {half}" for half in (0, 1)]
    with ProcessPoolExecutor(2) as processes:
        return sum(processes.map(extract, [folder / "0", folder / "1"], [address] * 2, halves))


def before_load(address: str, dump: str, table: str) -> None:
    """Make a dump to load, remove the table, and write outstanding changes to disk."""
    stage, source = Table(dump, "public", table), source_at(address)
    if not stage.published():
        shutil.rmtree(dump, ignore_errors=True)
        now, query = datetime.now(UTC), "SELECT * FROM events"
        chunk = Chunk(query, None, LAYOUT, address)
        version, columns = stage.choose_version("overwrite", now), source.columns(query)
        with closing(source.batches(query, BATCH_ROWS)) as batches:
            record = stage.extract(version, chunk, columns, batches, lambda *_: None)
        stage.publish("overwrite", version, query, LAYOUT.schema(columns), [chunk], [record])
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute("CHECKPOINT")


def load(folder: Path, address: str, dump: str, table: str) -> int:
    """Parquet to a new table of PostgreSQL."""
    parts = urlsplit(address)
    target = open_target(
        "postgres",
        {
            "host": parts.hostname,
            "dbname": parts.path.strip("/"),
            "user": parts.username,
            "password": parts.password,
        },
    )
    stage = Table(dump, "public", table)
    if not (manifest := stage.published()):
        raise FileNotFoundError(dump)
    return target.load(stage, manifest).rows
