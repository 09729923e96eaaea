"""Dump a query of a database to Parquet or CSV files, and load them into another database.

The query is read in pieces, so that a run can continue where an interrupted one stopped.

Alone, without a server: `python -m flow '{"db_host": "localhost", "staging_root": "/tmp/dumps"}'`.
"""

import json
import os
import sys
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from pydantic import Field, PositiveInt

from credentials import database_login, target_arguments
from errors import ParameterError
from files import DataType, Layout
from periods import Current, Frequency
from query import chunk_query, clean, column_list, periods
from records import Chunk, DumpMode
from reports import Progress, fields, report
from sources import Login, open_source
from stage import Table
from targets import Target, open_target
from tasks import check_target, describe, load, read_all, read_chunk, retrying

# the limit of file systems for a folder's name is 255 bytes
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=255)]
# the format tells `deploy.py check` that the value names a Secret block
SECRET_BLOCK = Field(json_schema_extra={"format": "secret-block"})


@flow(name="db_dump", flow_run_name="{dataset_id}.{table_id}", validate_parameters=True)
def db_dump(
    db_type: Literal["postgres", "mysql", "sql_server", "oracle"] = "postgres",
    db_host: str = "source-postgres",
    db_port: Annotated[int, Field(ge=1, le=65535)] | None = None,
    db_database: str = "shop",
    db_charset: str | None = None,
    execute_query: str = "SELECT * FROM orders",
    infisical_secret_path: Annotated[str, SECRET_BLOCK] = "/source-postgres",  # noqa: S107 - a path, not a secret
    dataset_id: Name = "shop",
    table_id: Name = "orders",
    dump_mode: DumpMode = "overwrite",
    allow_empty: bool = False,
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
    target_type: Literal["postgres", "duckdb", "snowflake"] | None = None,
    target_secret_path: Annotated[str | None, SECRET_BLOCK] = None,
) -> None:
    """Dump a query to files, and load the files into a database if target_type names one.

    Days begin and end at midnight UTC.

    The parameters from db_type to max_concurrency, except allow_empty, are a compatibility contract: they have the
    names of the database dump in the pipelines of the city of Rio, whose parameters are taken over unchanged. Do not
    rename them, even where a name is misleading: infisical_secret_path names a Prefect Secret block,
    retry_dump_upload_attempts covers reading too, and batch_data_type is the file format.

    Args:
        db_type: The kind of database; `mysql` includes MariaDB. `sql_server` and `oracle` are not tested against a
            server.
        db_host: Name or address of the database server.
        db_port: Its port; by default the standard port of db_type.
        db_database: The database on that server.
        db_charset: The encoding of its text; by default UTF-8.
        execute_query: The SELECT to dump.
        infisical_secret_path: Names the Prefect Secret block that holds the login, as JSON with user and password:
            the path without its leading slash, and with a hyphen for each `/` and `_`.
        dataset_id: The folder of the dataset, below the root.
        table_id: The folder of the table, below the dataset's folder.
        dump_mode: `overwrite` replaces the table when the dump is complete. `append` adds to the table: with
            break_query_frequency the pieces that are missing or had not ended when they were read, otherwise all
            rows. It adds new columns, and widens types that grew.
        allow_empty: Replace the rows of the table even where the query gives no rows.
        only_staging_dataset: Stage the files, but leave the published table as it is, and load nothing.
        add_timestamp_column: Add the column `_extracted_at`, the time at which reading began.
        partition_columns: Columns, separated by commas, whose values name the folders of the files. The dates below
            refer to the first column.
        partition_date_format: How a date becomes the name of a folder; `%Y-%m` makes one folder per month.
        lower_bound_date: Leave out rows before this day.
        break_query_frequency: Cut the query into pieces of this length. No piece has the rows without a date.
        break_query_start: The first day.
        break_query_end: The last day, included: a date, or `current_day`, `current_month`, `current_year`.
        retry_dump_upload_attempts: How often to retry the reading of a piece, or the load, when a database cannot be
            reached or the connection breaks.
        batch_size: Rows in memory at a time.
        batch_data_type: The format of the files. Parquet keeps types, CSV does not.
        log_number_of_batches: Log progress each time this number of batches is written.
        max_concurrency: Pieces to read at the same time, each in its own process.
        staging_root: Where the files go, a folder or an fsspec address; by default the environment variable
            DB_DUMP_ROOT, or else the folder `db_dump` in the state directory of the service.
        target_type: The kind of database to load the published table into, as `<dataset_id>.<table_id>`; by default
            none. Views, rights and indexes stay; new columns are added, and types that grew are widened.
        target_secret_path: Names the Prefect Secret block with the connection arguments of the target, as JSON: for
            postgres host, port, dbname, user, password, sslmode …; for duckdb database, the path of its file; for
            snowflake account, user, private_key (and passphrase), database, warehouse, role …
    """
    log = get_run_logger()
    query = clean(execute_query)
    columns = column_list(partition_columns)
    layout = Layout(batch_data_type, tuple(columns), partition_date_format, add_timestamp_column)
    pieces = periods(columns, lower_bound_date, break_query_frequency, break_query_start, break_query_end)
    table = Table(staging_root or default_root(), dataset_id, table_id)
    user, password = database_login(infisical_secret_path)
    source = open_source(db_type, Login(db_host, db_database, user, password, db_port, db_charset))
    target = target_of(target_type, target_secret_path)

    name, origin = f"{dataset_id}.{table_id}", f"{db_type}://{db_host}:{db_port}/{db_database}"
    if dump_mode == "append" and not break_query_frequency:
        # each run adds its own rows
        origin += f"#{flow_run.id}"
    chunks = [
        Chunk(chunk_query(query, columns, piece, lower_bound_date, source), piece, layout, origin) for piece in pieces
    ]
    retries = retry_dump_upload_attempts
    with table.lock():
        by_date = bool(break_query_frequency or lower_bound_date)
        schema = retrying(describe, retries)(source, query, layout, by_date)
        merged = table.merged_schema(dump_mode, chunks, schema)
        if target:
            retrying(check_target, retries)(target, table, table.draft(dump_mode, query, merged, chunks))
        now = datetime.now(UTC)
        version = table.choose_version(dump_mode, now)
        reused_records = table.reusable_records(version, chunks, schema, now)
        reused = {record.id for record in reused_records}
        missing = [chunk for chunk in chunks if chunk.id not in reused]
        log.info("%s: %s", name, fields(pieces=len(chunks), to_read=len(missing), version=version))

        common = {
            "table": table,
            "version": version,
            "schema": schema,
            "source": source,
            "batch_size": batch_size,
            "log_every": log_number_of_batches,
        }
        progress = Progress(dataset_id, table_id, len(missing))
        reading = retrying(read_chunk, retries)
        records = reused_records + read_all(missing, reading, common, max_concurrency, progress)
        manifest = load_result = None
        if only_staging_dataset:
            log.info("%s: staged; not published, because only_staging_dataset is set", name)
        else:
            manifest = table.publish(dump_mode, version, query, merged, chunks, records, allow_empty)
            seconds = round((datetime.now(UTC) - now).total_seconds(), 1)
            log.info("%s: published %s", name, fields(rows=manifest.rows, bytes=manifest.bytes, seconds=seconds))
        if manifest and target:
            load_result = retrying(load, retries)(target, table, manifest, allow_empty)
    report(dataset_id, table_id, records, reused, manifest, load_result)


def target_of(target_type: str | None, target_secret_path: str | None) -> Target | None:
    """The database to load into, if any."""
    if target_type and target_secret_path:
        return open_target(target_type, target_arguments(target_secret_path))
    if target_type or target_secret_path:
        missing = "target_secret_path" if target_type else "target_type"
        raise ParameterError(f"{missing}: is missing; give target_type and target_secret_path, or neither")
    return None


def default_root() -> str:
    """The root of dumps without staging_root."""
    if root := os.environ.get("DB_DUMP_ROOT"):
        return root
    if state := os.environ.get("STATE_DIRECTORY"):
        return f"{state.partition(':')[0]}/db_dump"
    raise ParameterError("staging_root: no place for the files; give it, or set DB_DUMP_ROOT in the environment")


if __name__ == "__main__":
    db_dump(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
