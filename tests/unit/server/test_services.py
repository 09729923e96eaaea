"""What the server does by itself: it makes the runs of schedules, ends what nobody cancels, and tells who has died."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Completed, Failed, Pending, Running
from waiting import until

from deployer.check.sizes import MAX_TAGS
from requirements.locks import pins

ROOT = Path(__file__).parents[3]
DIED = "A run that has died is Crashed"


@pytest.fixture
def client(server_with_services) -> Iterator[SyncPrefectClient]:
    server = server_with_services
    with (
        temporary_settings({PREFECT_API_URL: server.url, PREFECT_API_AUTH_STRING: server.auth}),
        get_client(sync_client=True) as client,
    ):
        yield client


def test_the_hosts_get_the_versions_that_are_tested_here() -> None:
    server, control = (pins((ROOT / f"requirements/{name}.txt").read_text()) for name in ("server", "control"))
    assert {"prefect", "sqlalchemy", "fastapi"} <= server.keys()
    assert server == {package: control.get(package) for package in server}


def scheduled(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    return until(lambda: client.read_flow_runs(deployment_filter=of_it), within=60, what="runs are scheduled")


def test_what_has_a_schedule_has_runs_ahead(client: SyncPrefectClient) -> None:
    hourly = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(hours=1)))
    deployment = client.create_deployment(client.create_flow_from_name("hourly"), "hourly", schedules=[hourly])
    runs = scheduled(client, deployment)
    assert {run.state_name for run in runs} == {"Scheduled"}
    assert all(run.auto_scheduled and run.expected_start_time > datetime.now(UTC) for run in runs)


@pytest.mark.parametrize(("tags", "ends"), [(MAX_TAGS, "Completed"), (100, "Scheduled")])
def test_a_run_bears_the_tags_that_the_check_accepts(client: SyncPrefectClient, tags: int, ends: str) -> None:
    pool = client.create_work_pool(WorkPoolCreate(name=f"tags-{tags}", type="process"))
    name = f"with-{tags}-tags"
    deployment = client.create_deployment(
        client.create_flow_from_name(name),
        name,
        work_pool_name=pool.name,
        tags=[f"tag-{number}" for number in range(tags)],
        schedules=[DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(hours=1)))],
    )
    [run, *_] = scheduled(client, deployment)
    for state in (Pending(), Running(), Completed()):
        with suppress(PrefectHTTPStatusError):
            client.set_flow_run_state(run.id, state, force=True)
    assert (len(run.tags), client.read_flow_run(run.id).state_name) == (tags + 1, ends)


def test_what_nobody_cancels_is_cancelled_in_the_end(client: SyncPrefectClient) -> None:
    deployment = client.create_deployment(client.create_flow_from_name("cancelled"), "cancelled")
    run = client.create_flow_run_from_deployment(deployment, state=Running()).id
    client.set_flow_run_state(run, Cancelling())
    until(lambda: client.read_flow_run(run).state_name == "Cancelled", within=60, what="it is Cancelled")


@pytest.fixture
def died(client: SyncPrefectClient) -> Iterator[None]:
    """The automation that calls what has died Crashed, as it is deployed, but after ten seconds."""
    [automation] = [
        automation
        for automation in yaml.safe_load((ROOT / "flows/resources.yml").read_text())["automations"]
        if automation["name"] == DIED
    ]
    automation["trigger"]["within"] = 10
    body = AutomationCore.model_validate(automation).model_dump(mode="json")
    known = client.request("POST", "/automations/", json=body).json()
    yield
    client.request("DELETE", f"/automations/{known['id']}")


def heard(client: SyncPrefectClient, run: UUID, event: str, seconds_ago: float) -> None:
    """The server hears now what a run said then."""
    occurred = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    resource = {"prefect.resource.id": f"prefect.flow-run.{run}"}
    said = {"id": str(uuid4()), "occurred": occurred.isoformat(), "event": f"prefect.flow-run.{event}"}
    client.request("POST", "/events", json=[said | {"resource": resource}])


def test_only_what_falls_silent_has_died(client: SyncPrefectClient, died: None) -> None:
    deployment = client.create_deployment(client.create_flow_from_name("heard"), "heard")

    def running() -> UUID:
        return client.create_flow_run_from_deployment(deployment, state=Running()).id

    def state(run: UUID) -> str:
        return client.read_flow_run(run).state_name

    def one_falls_silent() -> None:
        run = running()

        def crashed() -> bool:
            heard(client, run, "heartbeat", seconds_ago=40)
            heard(client, uuid4(), "Late", seconds_ago=0)  # the server's clock is the last event
            return state(run) == "Crashed"

        until(crashed, within=60, what="what fell silent is Crashed")

    one_falls_silent()  # so the server knows the automation by now
    overtaken, named = running(), running()
    # The event of an end may overtake the last sign of life, and an end may have any name
    heard(client, overtaken, "Completed", seconds_ago=35)
    heard(client, overtaken, "heartbeat", seconds_ago=40)
    heard(client, named, "heartbeat", seconds_ago=40)
    client.set_flow_run_state(named, Failed(name="TimedOut"))
    one_falls_silent()
    assert (state(overtaken), state(named)) == ("Running", "TimedOut")
