"""Runs a deployment and follows the run to its end."""

from collections.abc import Callable
from typing import Any

import anyio
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound

from deployer.commands import make_command
from deployer.model.errors import DeployError

# Of the log of a run that does not complete
LINES = 20
POLL_SECONDS = 1


async def run(
    client: PrefectClient, deployment: str, parameters: dict[str, Any], tell: Callable[[str], None]
) -> FlowRun:
    """The run of `<flow>/<deployment>`, ended. Tells its name, and why it did not complete; raises DeployError."""
    try:
        deployment_id = (await client.read_deployment_by_name(deployment)).id
    except (ObjectNotFound, ValueError):
        raise DeployError(
            f"there is no deployment {deployment!r}: `prefect deployment ls` lists <flow>/<deployment>, and "
            f"`{make_command('deploy-flows')}` registers those under flows/"
        ) from None
    started = await client.create_flow_run_from_deployment(deployment_id, parameters=parameters)
    tell(f"{started.name} ({started.id})")
    ended = await _follow(client, started, tell)
    if not ended.state.is_completed():
        for line in await _last_lines(client, ended):
            tell(f"  {line}")
        tell(f"{ended.name} is {ended.state.name}: {ended.state.message}")
    return ended


async def _follow(client: PrefectClient, started: FlowRun, tell: Callable[[str], None]) -> FlowRun:
    # Prefect's wait_for_flow_run relies on events alone, and never looks again if it misses the last one.
    state = None
    while True:
        flow_run = await client.read_flow_run(started.id)
        if flow_run.state.name != state:
            state = flow_run.state.name
            tell(f"{flow_run.state.timestamp:%X} {state}")
        if flow_run.state.is_final():
            return flow_run
        await anyio.sleep(POLL_SECONDS)


async def _last_lines(client: PrefectClient, ended: FlowRun) -> list[str]:
    of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[ended.id]))
    logs = await client.read_logs(of_run, limit=LINES, sort=LogSort.TIMESTAMP_DESC)
    return [line for log in reversed(logs) for line in f"{log.timestamp:%X} {log.message}".splitlines()][-LINES:]
