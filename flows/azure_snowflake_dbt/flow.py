"""From the shop's database to tested tables: Azure Function, Snowflake COPY INTO, dbt build."""

import json
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.settings import get_current_settings
from pydantic import Field

import credentials
from azure_function import ExportFunction
from copy_into import Load, OnError
from manifest import Manifest
from report import Summary
from snowflake_session import connect

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,254}$")]


@flow
def azure_snowflake_dbt(
    logical_date: date | None = None,
    dataset: str = "orders",
    file_format: Literal["csv", "json", "parquet"] = "csv",
    target_table: str = "RAW.ORDERS",
    stage: str = "RAW.EXPORTS",
    on_error: OnError = "abort_statement",
    allow_rejected_rows: bool = False,
    dbt_schema: Identifier = "ANALYTICS",
    time_limit: Annotated[int, Field(ge=1)] = 3600,
) -> None:
    """Export a dataset as of a day, replace that day's rows in the warehouse, and build the models on them.

    Args:
        logical_date: the day to load; by default the day (UTC) for which the run was scheduled.
        dataset: the dataset that the function exports.
        file_format: the format of the files between the function and the warehouse.
        target_table: the table, as schema.table, whose rows of that day are replaced; the models read it.
        stage: the Snowflake stage, as schema.stage, of the container that the function writes to.
        on_error: how COPY INTO treats a row that it cannot read: it stops, leaves out the row, or leaves out its file.
        allow_rejected_rows: load the day without the rejected rows. By default the run shows them and fails.
        dbt_schema: the schema in which the models are built.
        time_limit: seconds that the export may take, and each statement of the load.
    """
    day = logical_date or (runtime.flow_run.scheduled_start_time or datetime.now(UTC)).date()
    summary = Summary(f"{dataset}, {day.isoformat()}")

    manifest = call_function(day, dataset, file_format, time_limit)
    summary.step("Azure Function", f"{len(manifest.files)} {file_format} files, {manifest.rows} rows")

    loaded = load(manifest, target_table, stage, on_error, allow_rejected_rows, time_limit)
    summary.step("COPY INTO", f"{loaded.rows} rows in {target_table}, {loaded.rejected} rejected; {loaded.files}")
    summary.warnings += loaded.warnings

    built = build_models(target_table, dbt_schema, loaded.state)
    summary.step("dbt build", built.result)
    summary.warnings += built.warnings
    create_markdown_artifact(key="azure-snowflake-dbt-summary", markdown=summary.markdown())


@task
def call_function(day: date, dataset: str, file_format: str, time_limit: int) -> Manifest:
    """Have the Azure Function export the dataset."""
    # every retry of this flow run has the same id, so that the function never exports twice
    export_id = f"{runtime.flow_run.id}-{day.isoformat()}"
    url, key = credentials.text("azure-function-url"), credentials.text("azure-function-key")
    with ExportFunction(url, key, time_limit, get_run_logger()) as function:
        return function.export(export_id=export_id, dataset=dataset, logical_date=day, file_format=file_format)


@dataclass
class Loaded:
    """The result of the load: rows of the day, rejected rows, and the state of the table that the models read."""

    rows: int
    rejected: int
    state: str
    warnings: list[str]
    files: str  # a link to the results of the files


@task
def load(
    manifest: Manifest, target_table: str, stage: str, on_error: OnError, allow_rejected: bool, time_limit: int
) -> Loaded:
    """COPY the files into Snowflake and replace the day's rows."""
    logger = get_run_logger()
    warnings: list[str] = []
    tag = json.dumps({"flow_run": runtime.flow_run.name})
    with closing(connect(credentials.snowflake(logger), query_tag=tag, time_limit=time_limit)) as session:
        copy_load = Load(session, manifest, logger, target=target_table, stage=stage, on_error=on_error)
        # in a retry of the flow run after a later failure, the loaded rows stay, and so do the models built on them
        if copy_load.already_loaded():
            return Loaded(manifest.rows, 0, copy_load.state(), warnings, "loaded by an earlier attempt of this run")

        files = copy_load.copy()
        artifact = create_table_artifact(
            key="azure-snowflake-dbt-files",
            table=[file.row() for file in files],
            description=f"Files copied for {target_table}, {manifest.logical_date.isoformat()}",
        )
        if rejected := copy_load.rejected_rows():
            create_table_artifact(
                key="azure-snowflake-dbt-rejected-rows",
                table=rejected,
                description=f"The first rows rejected for {target_table}, {manifest.logical_date.isoformat()}",
            )
        counts = copy_load.reconcile(files, allow_rejected=allow_rejected)
        rows = copy_load.replace_partition(counts.staged)
        if counts.rejected:
            warnings.append(f"{counts.rejected} of {manifest.rows} rows were rejected and are not in {target_table}")
        if not rows:
            warnings.append(f"No row was loaded for {manifest.logical_date}: the day is empty in {target_table} now")
        for warning in warnings:
            logger.warning(warning)
        link = f"[file by file](/artifacts/artifact/{artifact})"
        return Loaded(rows, counts.rejected, copy_load.state(), warnings, link)


@dataclass
class Models:
    """The result of the models and tests in one line, and the warnings of the tests."""

    result: str
    warnings: list[str]


@task
def build_models(target_table: str, dbt_schema: str, data: str) -> Models:
    """Run `dbt build`; a failed model or test fails the run."""
    import dbt_build  # here, because dbt takes seconds to import and configures logging

    logger = get_run_logger()
    schema, table = target_table.split(".")
    folders = get_current_settings().home / "dbt"
    folder = folders / str(runtime.flow_run.id)
    dbt_build.prune(folders)
    built = dbt_build.build(
        folder,
        credentials.snowflake(logger),
        schema=dbt_schema,
        variables={"raw_schema": schema, "orders_table": table},
        data=data,
        logger=logger,
    )
    artifact = create_table_artifact(
        key="azure-snowflake-dbt-results",
        table=[result.row() for result in built.results],
        description=f"dbt in {dbt_schema}",
    )
    warnings = dbt_build.check(built.results)
    for warning in warnings:
        logger.warning(warning)
    shutil.rmtree(folder)  # after a failure it stays, for a retry and for debugging
    left = " left by an earlier attempt" if built.retried else ""
    warned = f", {len(warnings)} with a warning" if warnings else ""
    link = f"[node by node](/artifacts/artifact/{artifact})"
    return Models(f"{len(built.results)} models and tests{left} passed in {dbt_schema}{warned}; {link}", warnings)


if __name__ == "__main__":
    # Alone, without a Prefect server: python -m flow '{"file_format": "json"}'
    azure_snowflake_dbt(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
