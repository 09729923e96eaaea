"""The scheduler works: what has a schedule has runs ahead of it. It can stop without anything else being wrong."""

from datetime import UTC, datetime

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from waiting import until


def test_every_deployment_with_a_schedule_has_runs_ahead(client: SyncPrefectClient) -> None:
    def has_none(deployment: DeploymentResponse) -> bool:
        return not client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
                next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(after_=datetime.now(UTC)),
            ),
            limit=1,
        )

    waiting = [
        deployment
        for deployment in client.read_deployments()
        if not deployment.paused and any(schedule.active for schedule in deployment.schedules)
    ]
    assert waiting

    def all_have() -> bool:
        waiting[:] = filter(has_none, waiting)
        return not waiting

    # The scheduler looks at all deployments once a minute.
    names = ", ".join(deployment.name for deployment in waiting)
    assert until(all_have, within=90, what=f"there are scheduled runs of {names}")
