"""Schedules of a deployment: those that are wanted, beside those the server holds."""

import re
from typing import Any

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import SCHEDULE_TYPES

from deployer.model.differences import ABSENT, Difference, differences


def schedules_over(
    wanted: list[dict[str, Any]], held: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Difference]]:
    """The wanted schedules with what the file leaves open as the server has it: paused by hand or not, and the moment
    that one without a start counts from. And in what they differ from the held ones.
    """
    asked = [DeploymentScheduleCreate.model_validate(each) for each in wanted]
    there = [DeploymentScheduleCreate.model_validate(each) for each in held]
    pairs = _pairs(asked, there)
    carried = [
        _carry_over(create, there[twin], _open_start(each["schedule"])) if twin is not None else create
        for each, (create, twin) in zip(wanted, pairs, strict=True)
    ]

    left = [number for number in range(len(there)) if number not in {twin for _, twin in pairs}]
    found: list[Difference] = []
    for number, ((_, twin), create) in enumerate(zip(pairs, carried, strict=True)):
        if twin is None and left:  # its definition has changed
            twin = left.pop(0)
        name = f"schedules.{create.slug or f'[{number}]'}"
        before = {name: _shown(there[twin])} if twin is not None else {}
        found += differences(before, {name: _shown(create)})
    for number in left:
        found.append(Difference(f"schedules.{there[number].slug or f'[{number}]'}", _shown(there[number]), ABSENT))
    return [each.model_dump(mode="json", exclude_unset=True) for each in carried], found


def _pairs(
    asked: list[DeploymentScheduleCreate], there: list[DeploymentScheduleCreate]
) -> list[tuple[DeploymentScheduleCreate, int | None]]:
    """Each with the number of the one it is on the server. Of several that fire alike, those that say whether they are
    active choose first.
    """
    left = set(range(len(there)))
    twins: dict[int, int | None] = {}
    for number in sorted(range(len(asked)), key=lambda number: "active" not in asked[number].model_fields_set):
        each = asked[number]
        alike = [other for other in sorted(left) if _is_twin(each, there[other])]
        twins[number] = min(alike, key=lambda other: _distance(each, there[other]), default=None)
        left.discard(twins[number])
    return [(each, twins[number]) for number, each in enumerate(asked)]


def _distance(asked: DeploymentScheduleCreate, held: DeploymentScheduleCreate) -> tuple[bool, bool]:
    return held.parameters != asked.parameters, "active" in asked.model_fields_set and held.active != asked.active


def _carry_over(
    create: DeploymentScheduleCreate, twin: DeploymentScheduleCreate, open_start: bool
) -> DeploymentScheduleCreate:
    update: dict[str, Any] = {}
    if "active" not in create.model_fields_set:
        update["active"] = twin.active
    if open_start and _definition(create.schedule) == _definition(twin.schedule):
        update["schedule"] = twin.schedule
    return create.model_copy(update=update)


def _is_twin(asked: DeploymentScheduleCreate, held: DeploymentScheduleCreate) -> bool:
    if asked.slug or held.slug:
        return held.slug in {asked.slug, asked.replaces} - {None}
    # Prefect's server (3.9 too) drops a schedule's parameters when it is paused by hand; registering puts them back
    known = held.parameters in (asked.parameters, {})
    return known and _definition(asked.schedule) == _definition(held.schedule)


def _open_start(written: dict[str, Any]) -> bool:
    """Whether it was not said from which moment it counts; Prefect puts the present one in."""
    if "interval" in written:
        return "anchor_date" not in written
    return "rrule" in written and "DTSTART" not in written["rrule"]


def _definition(schedule: SCHEDULE_TYPES) -> dict[str, Any]:
    """When a schedule fires, apart from the moment it counts from."""
    definition = schedule.model_dump(mode="json", exclude={"anchor_date"})
    if "rrule" in definition:
        definition["rrule"] = re.sub(r"DTSTART[^\n]*\n", "", definition["rrule"])
    return definition


def _shown(create: DeploymentScheduleCreate) -> dict[str, Any]:
    fields = create.model_dump(mode="json", include={"schedule", "active", "parameters", "slug"})
    return fields.pop("schedule") | fields
