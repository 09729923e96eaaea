"""From the shop's database to tested tables: Azure Function, Snowflake COPY INTO, dbt build."""

import json
import shutil
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Literal

import snowflake.connector
from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.settings import get_current_settings

import credentials
from azure_function import ExportFunction, Manifest
from copy_into import Load


@flow
def azure_snowflake_dbt(
    logical_date: date | None = None,
    dataset: str = "orders",
    file_format: Literal["csv", "json", "parquet"] = "csv",
    target_table: str = "RAW.ORDERS",
    stage: str = "RAW.EXPORTS",
    dbt_schema: str = "ANALYTICS",
    time_limit: int = 3600,
) -> None:
    """Export a dataset as of a day, replace that day's rows in the warehouse, and build the models on them.

    Args:
        logical_date: the day to load; by default the day (UTC) for which the run was scheduled.
        dataset: what the function exports.
        file_format: the format of the files between the function and the warehouse.
        target_table: the table, as schema.table, whose rows of that day are replaced; the models read it.
        stage: the Snowflake stage, as schema.stage, of the container that the function writes to.
        dbt_schema: the schema in which the models are built.
        time_limit: seconds the export may take.
    """
    day = logical_date or (runtime.flow_run.scheduled_start_time or datetime.now(UTC)).date()
    manifest = call_function(day, dataset, file_format, time_limit)
    rows = load(manifest, target_table, stage)
    nodes = build_models(target_table, dbt_schema)
    summarise(manifest, target_table, rows, dbt_schema, nodes)


@task
def call_function(day: date, dataset: str, file_format: str, time_limit: int) -> Manifest:
    """Have the Azure Function export the dataset."""
    # The same id on every retry of this flow run, so that the function never exports twice.
    export_id = f"{runtime.flow_run.id}-{day.isoformat()}"
    url, key = credentials.secret("azure-function-url"), credentials.secret("azure-function-key")
    logger = get_run_logger()
    with ExportFunction(url, key, time_limit, logger) as function:
        manifest = function.export(export_id=export_id, dataset=dataset, logical_date=day, file_format=file_format)
    logger.info("%s files, %s rows exported to %s", len(manifest.files), manifest.rows, manifest.path)
    return manifest


@task
def load(manifest: Manifest, target_table: str, stage: str) -> int:
    """COPY the files into Snowflake and replace the day's rows."""
    logger = get_run_logger()
    with closing(connect()) as connection:
        this_load = Load(connection, manifest, logger, target=target_table, stage=stage)
        files = this_load.copy()
        create_table_artifact(
            key="azure-snowflake-dbt-files",
            table=[file.row() for file in files],
            description=f"Files copied for {target_table}, {manifest.logical_date.isoformat()}",
        )
        this_load.reconcile(files)
        rows = this_load.replace_partition()
    if not rows:
        logger.warning("The export of %s is empty: so is this day in %s now", manifest.logical_date, target_table)
    return rows


@task
def build_models(target_table: str, dbt_schema: str) -> int:
    """Run `dbt build`; a failed model or test fails the run."""
    import dbt_build  # here, because dbt takes seconds to import and sets up logging of its own

    schema, table = target_table.split(".")
    folder = get_current_settings().home / "dbt" / str(runtime.flow_run.id)
    results = dbt_build.build(
        folder,
        credentials.snowflake(get_run_logger()),
        schema=dbt_schema,
        variables={"raw_schema": schema, "orders_table": table},
    )
    create_table_artifact(
        key="azure-snowflake-dbt-results",
        table=[result.row() for result in results],
        description=f"dbt build in {dbt_schema}",
    )
    dbt_build.check(results)
    shutil.rmtree(folder)  # after a failure it stays, for whoever looks into it
    return len(results)


def summarise(manifest: Manifest, target_table: str, rows: int, dbt_schema: str, nodes: int) -> None:
    """Say in one artifact what the run did."""
    create_markdown_artifact(
        key="azure-snowflake-dbt-summary",
        markdown=f"""\
# {manifest.dataset}, {manifest.logical_date.isoformat()}

| step | result |
|---|---|
| Azure Function | {len(manifest.files)} {manifest.format} files, {manifest.rows} rows |
| COPY INTO | {rows} rows in {target_table} |
| dbt build | {nodes} models and tests passed in {dbt_schema} |

Export `{manifest.export_id}`
""",
    )


def connect() -> snowflake.connector.SnowflakeConnection:
    """Open a Snowflake session that carries the flow run's name as its query tag."""
    tag = json.dumps({"flow_run": runtime.flow_run.name})
    return snowflake.connector.connect(
        **credentials.snowflake(get_run_logger()),
        session_parameters={"QUERY_TAG": tag, "CLIENT_TELEMETRY_ENABLED": False},
    )


if __name__ == "__main__":
    # Alone, without a Prefect server: python -m flow '{"file_format": "json"}'
    azure_snowflake_dbt(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
