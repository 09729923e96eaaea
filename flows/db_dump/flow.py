"""Dump a query of a database to Parquet or CSV files, in pieces, so that a run that broke off goes on where it stopped.

Alone, without a server: `python -m flow '{"db_host": "localhost", "staging_root": "/tmp/dumps"}'`.
"""

import json
import os
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import pyarrow as pa
from prefect import Task, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff
from pydantic import Field, PositiveInt

from credentials import database_login
from files import DataType, Layout
from periods import Current, Frequency
from query import ParameterError, chunk_query, clean, column_list, periods
from sources import Login, Source, SourceUnavailable, open_source
from stage import Chunk, DumpMode, Manifest, Record, Table

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


@flow(name="db_dump", flow_run_name="{dataset_id}.{table_id}", validate_parameters=True)
def db_dump(
    db_type: Literal["postgres", "mysql", "sql_server", "oracle"] = "postgres",
    db_host: str = "source-postgres",
    db_port: Annotated[int, Field(ge=1, le=65535)] | None = None,
    db_database: str = "shop",
    db_charset: str | None = None,
    execute_query: str = "SELECT * FROM orders",
    infisical_secret_path: str = "/source-postgres",  # noqa: S107 - where the secret is, not what it is
    dataset_id: Name = "shop",
    table_id: Name = "orders",
    dump_mode: DumpMode = "overwrite",
    only_staging_dataset: bool = False,
    add_timestamp_column: bool = True,
    partition_columns: str | None = None,
    partition_date_format: str = "%Y-%m-%d",
    lower_bound_date: date | None = None,
    break_query_frequency: Frequency | None = None,
    break_query_start: date | None = None,
    break_query_end: date | Current | None = None,
    retry_dump_upload_attempts: Annotated[int, Field(ge=0)] = 2,
    batch_size: PositiveInt = 50_000,
    batch_data_type: DataType = "csv",
    log_number_of_batches: PositiveInt = 100,
    max_concurrency: PositiveInt = 1,
    staging_root: str | None = None,
) -> None:
    """Dump a query to files.

    Days begin and end at midnight UTC.

    Args:
        db_type: The kind of database; `mysql` is MariaDB too. `sql_server` and `oracle` are not available yet.
        db_host: Name or address of the database server.
        db_port: Its port; by default the usual one of db_type.
        db_database: The database on that server.
        db_charset: The encoding of its text; by default UTF-8.
        execute_query: The SELECT to dump.
        infisical_secret_path: Names the Prefect Secret block that holds the login, as JSON with user and password:
            without the leading slash, and with a hyphen for each `/` and `_`.
        dataset_id: The folder of the dump, below the root.
        table_id: The folder of the table, below that of the dataset.
        dump_mode: `overwrite` replaces the table when the whole of the dump is there. `append` adds to it: the pieces
            of break_query_frequency that are not there yet or were not over when they were read, or else all rows.
        only_staging_dataset: Stage the files, but leave the published table as it is.
        add_timestamp_column: Add the column `_extracted_at`, the time at which reading began.
        partition_columns: Columns, with commas between them, by whose values the files lie in folders. The first one
            is that of the dates below.
        partition_date_format: How a date becomes the name of a folder; `%Y-%m` makes one folder a month.
        lower_bound_date: Leave out rows before this day.
        break_query_frequency: Cut the query into pieces of this length. Rows without a date are in none of them.
        break_query_start: The first day.
        break_query_end: The last day, which is dumped whole: a date, or `current_day`, `current_month`, `current_year`.
        retry_dump_upload_attempts: How often a piece is tried again when the database cannot be reached or breaks off.
        batch_size: Rows that are held in memory at a time.
        batch_data_type: The format of the files. CSV knows no types; Parquet keeps them.
        log_number_of_batches: Log progress each time so many batches are written.
        max_concurrency: Pieces that are read at the same time.
        staging_root: Where the files go, a folder or an fsspec address; by default the environment variable
            DB_DUMP_ROOT, or else the folder `db_dump` in the state directory of the service.
    """
    log = get_run_logger()
    query = clean(execute_query)
    columns = column_list(partition_columns)
    layout = Layout(batch_data_type, tuple(columns), partition_date_format, add_timestamp_column)
    pieces = periods(columns, lower_bound_date, break_query_frequency, break_query_start, break_query_end)
    table = Table(staging_root or default_root(), dataset_id, table_id)
    user, password = database_login(infisical_secret_path)
    source = open_source(db_type, Login(db_host, db_database, user, password, db_port, db_charset))

    origin = f"{db_type}://{db_host}:{db_port}/{db_database}"
    if dump_mode == "append" and not break_query_frequency:
        origin += f"#{flow_run.id}"
    chunks = [
        Chunk(chunk_query(query, columns, piece, lower_bound_date, source), piece, layout, origin) for piece in pieces
    ]
    retrying = {
        "retries": retry_dump_upload_attempts,
        "retry_delay_seconds": exponential_backoff(5),
        "retry_jitter_factor": 0.5,
    }
    with table.lock():
        schema = describe.with_options(**retrying)(source, query, layout)
        if dump_mode == "append":
            table.check_append(chunks, schema)
        now = datetime.now(UTC)
        version = table.begin(dump_mode, now)
        whole = table.whole(version, chunks, now)
        present = {record.id for record in whole}
        missing = [chunk for chunk in chunks if chunk.id not in present]
        log.info("%s: %d of %d pieces to read, into version %s", table_id, len(missing), len(chunks), version)

        reading = read_chunk.with_options(**retrying)
        common = {
            "table": table,
            "version": version,
            "schema": schema,
            "source": source,
            "batch_size": batch_size,
            "log_every": log_number_of_batches,
        }
        records = whole + read_all(missing, reading, common, max_concurrency)
        if only_staging_dataset:
            log.info("%s: staged, not published, as only_staging_dataset says", table_id)
            manifest = None
        else:
            manifest = table.publish(dump_mode, version, query, schema, chunks, records)
    report(dataset_id, table_id, records, present, manifest)


@task(cache_policy=NO_CACHE, retry_condition_fn=lambda task, run, state: can_retry(state))
def describe(source: Source, query: str, layout: Layout) -> pa.Schema:
    """The query's columns: what is wrong with the login, the query or the partition columns shows here."""
    schema = source.columns(query)
    layout.schema(schema)
    return schema


@task(cache_policy=NO_CACHE, retry_condition_fn=lambda task, run, state: can_retry(state))
def read_chunk(
    table: Table, version: str, chunk: Chunk, schema: pa.Schema, source: Source, batch_size: int, log_every: int
) -> Record:
    """Read one piece of the query into files."""
    log = get_run_logger()

    def progress(batches: int, rows: int) -> None:
        if batches % log_every == 0:
            log.info("%s: %s batches, %s rows", chunk.period or "all rows", f"{batches:,}", f"{rows:,}")

    with closing(source.batches(chunk.query, batch_size)) as batches:
        record = table.extract(version, chunk, schema, batches, progress)
    log.info("%s: %s rows in %.1f s", chunk.period or "all rows", f"{record.rows:,}", record.seconds)
    return record


def read_all(chunks: list[Chunk], reading: Task, common: dict, max_concurrency: int) -> list[Record]:
    """Read the chunks, some at a time. One that fails does not stop the others, whose files then need no second run."""
    with ThreadPoolTaskRunner(max_workers=max_concurrency) as runner:
        futures = [
            runner.submit(
                reading.with_options(task_run_name=f"read {chunk.period or 'all rows'}"), common | {"chunk": chunk}
            )
            for chunk in chunks
        ]
        results = [future.result(raise_on_failure=False) for future in futures]
    failed = [(chunk, result) for chunk, result in zip(chunks, results, strict=True) if isinstance(result, Exception)]
    if failed:
        chunk, error = failed[0]
        raise RuntimeError(
            f"{len(failed)} of {len(chunks)} pieces failed, the others are kept for the next run; "
            f"{chunk.period or 'all rows'}: {error}"
        ) from error
    return results


def can_retry(state) -> bool:
    """Only what may go away by itself."""
    return isinstance(state.result(raise_on_failure=False), SourceUnavailable)


def default_root() -> str:
    """Where dumps go when no parameter says so."""
    if root := os.environ.get("DB_DUMP_ROOT"):
        return root
    if state := os.environ.get("STATE_DIRECTORY"):
        return f"{state.partition(':')[0]}/db_dump"
    raise ParameterError("staging_root: no place for the files; give it, or set DB_DUMP_ROOT in the environment")


def report(dataset_id: str, table_id: str, records: list[Record], present: set[str], manifest: Manifest | None) -> None:
    """Show the pieces as a table, and what is published as a few lines."""
    key = f"db-dump-{dataset_id}-{table_id}".lower().replace("_", "-").replace(".", "-")
    create_table_artifact(
        key=key,
        table=[
            {
                "from": record.start,
                "to, without": record.stop,
                "rows": record.rows,
                "bytes": record.bytes,
                "files": len(record.files),
                "seconds": record.seconds,
                "read": "before" if record.id in present else "now",
            }
            for record in records
        ],
        description=f"Pieces of {dataset_id}.{table_id}",
    )
    if manifest:
        create_markdown_artifact(
            key=f"{key}-summary",
            markdown=f"# {dataset_id}.{table_id}\n\n"
            f"{manifest.rows:,} rows, {manifest.bytes:,} bytes of {manifest.data_type}, "
            f"{sum(len(chunk.files) for chunk in manifest.chunks)} files, version `{manifest.version}`\n\n"
            f"| column | type |\n|---|---|\n"
            + "".join(f"| {name} | {type_} |\n" for name, type_ in manifest.columns.items()),
            description=f"What is published of {dataset_id}.{table_id}",
        )


if __name__ == "__main__":
    db_dump(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
