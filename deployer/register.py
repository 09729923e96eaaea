"""From desired deployments to registered ones: compare with the server, then write only what differs."""

import json
import re
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentCreate, DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from deployer.desired import DesiredDeployment
from deployer.errors import DeployError
from deployer.schedules import Schedule


@dataclass(frozen=True)
class Change:
    """What is to be done about one deployment: `action` is created, updated or unchanged."""

    action: str
    desired: DesiredDeployment
    schedules: list[DeploymentScheduleCreate]


async def missing_pools(client: PrefectClient, names: Collection[str]) -> list[str]:
    """Those of the pools that the server lacks; one of another type is refused."""
    missing = []
    for name in sorted(names):
        try:
            pool = await client.read_work_pool(name)
        except ObjectNotFound:
            missing.append(name)
            continue
        if pool.type != ProcessWorker.type:
            raise DeployError(
                f"the work pool {name!r} is of type {pool.type!r}, and the workers here serve {ProcessWorker.type!r} "
                "pools: use another pool's name"
            )
    return missing


async def create_pool(client: PrefectClient, name: str) -> None:
    """Create a process work pool."""
    template = ProcessWorker.get_default_base_job_template()
    await client.create_work_pool(WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template))


async def changes(client: PrefectClient, desired: list[DesiredDeployment]) -> list[Change]:
    """What differs on the server; nothing is written."""
    return [await _change(client, each) for each in desired]


async def apply(client: PrefectClient, planned: list[Change]) -> AsyncIterator[Change]:
    """Register what differs, and yield each change once it is done."""
    for change in planned:
        if change.action != "unchanged":
            flow_id = await client.create_flow_from_name(change.desired.flow_name)
            body = DeploymentCreate(
                flow_id=flow_id, name=change.desired.name, schedules=change.schedules, **change.desired.fields
            )
            # Not client.create_deployment(), which cannot send labels. The server updates a deployment of the same name
            # and replaces all its schedules.
            await client.request("POST", "/deployments/", json=body.model_dump(mode="json", exclude_unset=True))
        yield change


async def _change(client: PrefectClient, desired: DesiredDeployment) -> Change:
    try:
        current = await client.read_deployment_by_name(desired.full_name)
    except ObjectNotFound:
        return Change("created", desired, [schedule.create for schedule in desired.schedules])
    schedules = _carry_over(desired.schedules, current.schedules)
    same = _same_fields(desired.fields, current) and _comparable(schedules) == _comparable(current.schedules)
    return Change("unchanged" if same else "updated", desired, schedules)


def _same_fields(fields: dict[str, Any], current: DeploymentResponse) -> bool:
    held = current.model_dump(mode="json")
    limit = current.global_concurrency_limit
    held["concurrency_limit"] = limit.limit if limit else None
    if options := current.concurrency_options:
        held["concurrency_options"] = options.model_dump(mode="json", exclude_none=True)
    # The server adds labels of its own
    held["labels"] = {key: value for key, value in held["labels"].items() if key in fields["labels"]}
    return all(held[name] == value for name, value in fields.items())


def _carry_over(desired: list[Schedule], current: list[DeploymentSchedule]) -> list[DeploymentScheduleCreate]:
    """The desired schedules with what the file leaves open as the server has it: paused by hand or not, and the moment
    that one without a start counts from.
    """
    left = list(current)
    carried = []
    for schedule in desired:
        create = schedule.create
        twins = [each for each in left if _is_twin(create, each)]
        if twins:
            twin = min(twins, key=lambda each: each.parameters != create.parameters)
            left.remove(twin)
            update: dict[str, Any] = {}
            if "active" not in create.model_fields_set:
                update["active"] = twin.active
            if schedule.open_start and _definition(create.schedule) == _definition(twin.schedule):
                update["schedule"] = twin.schedule
            create = create.model_copy(update=update)
        carried.append(create)
    return carried


def _is_twin(desired: DeploymentScheduleCreate, current: DeploymentSchedule) -> bool:
    if desired.slug or current.slug:
        return current.slug in {desired.slug, desired.replaces} - {None}
    # Prefect 3.8's server drops a schedule's parameters when it is paused by hand; registering puts them back
    known = current.parameters in (desired.parameters, {})
    return known and _definition(desired.schedule) == _definition(current.schedule)


def _definition(schedule: SCHEDULE_TYPES) -> dict[str, Any]:
    """When a schedule fires, apart from the moment it counts from."""
    definition = schedule.model_dump(mode="json", exclude={"anchor_date"})
    if "rrule" in definition:
        definition["rrule"] = re.sub(r"DTSTART[^\n]*\n", "", definition["rrule"])
    return definition


def _comparable(schedules: Iterable[DeploymentScheduleCreate | DeploymentSchedule]) -> list[str]:
    fields = {"schedule", "active", "parameters", "slug"}
    return sorted(json.dumps(each.model_dump(mode="json", include=fields), sort_keys=True) for each in schedules)
