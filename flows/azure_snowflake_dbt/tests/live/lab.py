"""What the tests of the whole pipeline work with: the lab's stand-ins, and a table and runs of their own."""

import logging
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_DATABASE_CONNECTION_URL
from prefect.states import Scheduled
from stand_ins import PATIENCE

from azure_function import ExportFunction
from copy_into import Load
from flow import azure_snowflake_dbt

PROJECT = Path(__file__).parents[2]
VARIABLES = "SECRET_AZURE_FUNCTION_URL", "SECRET_AZURE_FUNCTION_KEY", "SECRET_SNOWFLAKE"
DAY_BEFORE, DAY = date(2025, 6, 1), date(2025, 6, 2)
LOGGER = logging.getLogger()
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SECRETS = {
    "function key": os.environ.get("SECRET_AZURE_FUNCTION_KEY", "").encode(),
    "wrong function key": b"wr0ng-key-of-the-function",
    "status code": b"c0de-of-the-status-address",
    "signature": b"s1gnature-of-the-status-address",
    "password": b"pa55word-of-the-service-user",
} | {f"line {number} of the private key": line.encode() for number, line in enumerate(PEM.splitlines()[1:-1], 1)}
DER = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


class Target:
    """A table and a schema that are of this test alone."""

    def __init__(self, warehouse):
        self.warehouse, name = warehouse, f"LIVE_{secrets.token_hex(4)}".upper()
        self.table, self.schema = f"RAW_TEST.{name}", name
        self.sql(f"create table {self.table} like raw.orders")

    def sql(self, statement):
        return self.warehouse.cursor().execute(statement).fetchall()

    def rows(self):
        """Counts and checksums of each day, and whether a row is there twice."""
        return self.sql(
            "select _logical_date, count(*), count(distinct id), sum(id), sum(total), count(note), max(ordered_at) "  # noqa: S608
            f"from {self.table} group by 1 order by 1"
        )

    def exports(self):
        """The exports that the rows of each day came with."""
        return self.sql(f"select distinct _logical_date, _export_id from {self.table} order by 1")  # noqa: S608

    def sales(self):
        """What the last model says."""
        return self.sql(f"select order_date, orders, revenue from {self.schema}.daily_sales order by 1")  # noqa: S608

    def staging_tables(self):
        return self.sql("select table_name from information_schema.tables where table_name ilike '%__load_%'")

    def drop(self):
        self.sql(f"drop table {self.table}")
        self.sql(f"drop schema if exists {self.schema} cascade")


def load_undisturbed(warehouse, lab, table, day):
    load = Load(warehouse, export(lab, f"undisturbed-{day}", day), LOGGER, target=table, stage="RAW.EXPORTS")
    load.replace_partition(load.reconcile(load.copy()).staged)


def export(lab, export_id, day):
    """What the lab's function answers for an export of this id."""
    with ExportFunction(lab[0], lab[1], 60, LOGGER) as function:
        return function.export(export_id=export_id, dataset="orders", logical_date=day, file_format="csv")


class Runs:
    """Runs of the flow against a Prefect server, in this process or in one of their own."""

    def __init__(self, home, target, environment):
        self.home, self.target, self.environment = home, target, environment
        self.output = home / "output.txt"

    def new(self, **parameters):
        """A run that has not begun; its id."""
        parameters = {
            "logical_date": DAY.isoformat(),
            "target_table": self.target.table,
            "dbt_schema": self.target.schema,
            "time_limit": 60,
        } | parameters
        with get_client(sync_client=True) as client:
            return client.create_flow_run(azure_snowflake_dbt, parameters=parameters).id

    def run(self, flow_run: UUID):
        """Run it, a first time or again, as the platform does; its final state."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run, Scheduled(name="AwaitingRetry"), force=True)
            run = client.read_flow_run(flow_run)
        return run_flow(azure_snowflake_dbt, flow_run=run, parameters=run.parameters, return_type="state")

    def start(self, flow_run: UUID):
        """Run it in a process of its own, as a worker does."""
        environment = self.environment | {
            "PREFECT__FLOW_ENTRYPOINT": "flow.py:azure_snowflake_dbt",
            "PREFECT_API_URL": PREFECT_API_URL.value(),
            "PREFECT_HOME": str(self.home),
        }
        with self.output.open("a") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "prefect.engine", str(flow_run)],
                cwd=PROJECT,
                env=os.environ | environment,
                stdout=output,
                stderr=output,
            )

    def kill_at(self, flow_run: UUID, hold):
        """Kill its process while the warehouse works at a statement."""
        process = self.start(flow_run)
        try:
            assert hold.reached.wait(PATIENCE), f"no statement like {hold.pattern}: see {self.output}"
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            hold.released.set()

    def logs(self, flow_run: UUID):
        """What a reader of the UI sees of a run's logs."""
        APILogWorker.instance().drain()
        with get_client(sync_client=True) as client:
            logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run])), limit=200)
        return "\n".join(log.message for log in logs)

    def artifacts(self, flow_run: UUID):
        """Its artifacts by key, without what comes before in every key."""
        with get_client(sync_client=True) as client:
            artifacts = client.read_artifacts(
                artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
            )
        return {
            artifact.key.removeprefix("azure-snowflake-dbt-"): artifact.data for artifact in artifacts if artifact.key
        }

    def task_runs(self, flow_run: UUID, *, at_least: int):
        """The names of its task runs, once so many are there: they come as events."""
        deadline = time.monotonic() + PATIENCE
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
        with get_client(sync_client=True) as client:
            while len(task_runs := client.read_task_runs(flow_run_filter=chosen)) < at_least:
                assert time.monotonic() < deadline, f"{len(task_runs)} of {at_least} task runs"
        return {task_run.name for task_run in task_runs}

    def dbt_folder(self, flow_run: UUID) -> Path:
        return self.home / "dbt" / str(flow_run)

    def traces(self):
        """The content of all that the runs leave on disk: Prefect's database and files, dbt's, what processes print."""
        APILogWorker.instance().drain()
        database = Path(re.sub(r"^.*?///", "", PREFECT_SERVER_DATABASE_CONNECTION_URL.value()))
        files = [*database.parent.iterdir(), *self.home.rglob("*")]
        return {file: file.read_bytes() for file in files if file.is_file()}
