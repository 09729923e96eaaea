"""Runs of deployments, followed to their end."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import anyio
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound

from deployer.commands import make_command
from deployer.model.errors import DeployError

# Shown of the log of a run that does not complete
LOG_LINES = 20
POLL_SECONDS = 1


async def run_deployment(
    client: PrefectClient, deployment: str, parameters: dict[str, Any], write_line: Callable[[str], None]
) -> FlowRun:
    """Run `<flow>/<deployment>`, and return the ended run. Raises a DeployError if there is no such deployment.

    Writes the run's name and states, and the end of its log if it does not complete.
    """
    try:
        deployment_id = (await client.read_deployment_by_name(deployment)).id
    except (ObjectNotFound, ValueError):
        raise DeployError(
            f"there is no deployment {deployment!r}: `prefect deployment ls` lists <flow>/<deployment>, and "
            f"`{make_command('deploy-flows')}` registers those under flows/"
        ) from None
    flow_run = await client.create_flow_run_from_deployment(deployment_id, parameters=parameters)
    write_line(f"{flow_run.name} ({flow_run.id})")
    flow_run = await _follow(client, flow_run.id, write_line)
    if flow_run.state and not flow_run.state.is_completed():
        for line in await _last_lines(client, flow_run.id):
            write_line(f"  {line}")
        write_line(f"{flow_run.name} is {flow_run.state.name}: {flow_run.state.message}")
    return flow_run


async def _follow(client: PrefectClient, flow_run_id: UUID, write_line: Callable[[str], None]) -> FlowRun:
    # Prefect's wait_for_flow_run relies on events alone, and never looks again if it misses the last one.
    written = None
    while True:
        flow_run = await client.read_flow_run(flow_run_id)
        state = flow_run.state
        if state and state.name != written:
            written = state.name
            write_line(f"{state.timestamp:%X} {written}")
        if state and state.is_final():
            return flow_run
        await anyio.sleep(POLL_SECONDS)


async def _last_lines(client: PrefectClient, flow_run_id: UUID) -> list[str]:
    run_filter = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
    logs = await client.read_logs(run_filter, limit=LOG_LINES, sort=LogSort.TIMESTAMP_DESC)
    return [line for log in reversed(logs) for line in f"{log.timestamp:%X} {log.message}".splitlines()][-LOG_LINES:]
