"""Schedules of a deployment: the manifest's, matched with the server's."""

import re
from typing import Any

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import SCHEDULE_TYPES

from deployer.model.differences import ABSENT, Difference, differences


def merge_schedules(
    desired: list[dict[str, Any]], current: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Difference]]:
    """The desired schedules, with the server's values where the file leaves them open, and the differences.

    A file may leave open whether a schedule is active, and the moment that a schedule without a start counts from.
    """
    desired_schedules = [DeploymentScheduleCreate.model_validate(schedule) for schedule in desired]
    current_schedules = [DeploymentScheduleCreate.model_validate(schedule) for schedule in current]
    twins = _twins(desired_schedules, current_schedules)
    merged = [
        _carry_over(schedule, current_schedules[twin], _has_open_start(fields["schedule"]))
        if twin is not None
        else schedule
        for fields, schedule, twin in zip(desired, desired_schedules, twins, strict=True)
    ]

    unmatched = [number for number in range(len(current_schedules)) if number not in twins]
    changed: list[Difference] = []
    for number, (twin, schedule) in enumerate(zip(twins, merged, strict=True)):
        if twin is None and unmatched:  # its definition has changed
            twin = unmatched.pop(0)
        name = _field(schedule, number)
        old = {name: _shown(current_schedules[twin])} if twin is not None else {}
        changed += differences(old, {name: _shown(schedule)})
    for number in unmatched:
        schedule = current_schedules[number]
        changed.append(Difference(_field(schedule, number), _shown(schedule), ABSENT))
    return [schedule.model_dump(mode="json", exclude_unset=True) for schedule in merged], changed


def _field(schedule: DeploymentScheduleCreate, number: int) -> str:
    return f"schedules.{schedule.slug or f'[{number}]'}"


def _twins(desired: list[DeploymentScheduleCreate], current: list[DeploymentScheduleCreate]) -> list[int | None]:
    """The number of each desired schedule among the server's.

    Of several that fire alike, those that say whether they are active choose first.
    """
    unmatched = set(range(len(current)))
    twins: dict[int, int | None] = {}
    for number in sorted(range(len(desired)), key=lambda number: "active" not in desired[number].model_fields_set):
        schedule = desired[number]
        alike = [other for other in sorted(unmatched) if _is_twin(schedule, current[other])]
        twin = min(alike, key=lambda other: _distance(schedule, current[other]), default=None)
        twins[number] = twin
        if twin is not None:
            unmatched.remove(twin)
    return [twins[number] for number in range(len(desired))]


def _distance(desired: DeploymentScheduleCreate, current: DeploymentScheduleCreate) -> tuple[bool, bool]:
    active_differs = "active" in desired.model_fields_set and current.active != desired.active
    return current.parameters != desired.parameters, active_differs


def _carry_over(
    schedule: DeploymentScheduleCreate, twin: DeploymentScheduleCreate, open_start: bool
) -> DeploymentScheduleCreate:
    update: dict[str, Any] = {}
    if "active" not in schedule.model_fields_set:
        update["active"] = twin.active
    if open_start and _definition(schedule.schedule) == _definition(twin.schedule):
        update["schedule"] = twin.schedule
    return schedule.model_copy(update=update)


def _is_twin(desired: DeploymentScheduleCreate, current: DeploymentScheduleCreate) -> bool:
    if desired.slug or current.slug:
        return current.slug in {desired.slug, desired.replaces} - {None}
    # Prefect's server (3.9 too) drops a schedule's parameters when it is paused by hand; registering puts them back
    same_parameters = current.parameters in (desired.parameters, {})
    return same_parameters and _definition(desired.schedule) == _definition(current.schedule)


def _has_open_start(written: dict[str, Any]) -> bool:
    """Whether the file leaves open from which moment the schedule counts; Prefect fills in the present."""
    if "interval" in written:
        return "anchor_date" not in written
    return "rrule" in written and "DTSTART" not in written["rrule"]


def _definition(schedule: SCHEDULE_TYPES) -> dict[str, Any]:
    """When a schedule fires, apart from the moment it counts from."""
    definition = schedule.model_dump(mode="json", exclude={"anchor_date"})
    if "rrule" in definition:
        definition["rrule"] = re.sub(r"DTSTART[^\n]*\n", "", definition["rrule"])
    return definition


def _shown(schedule: DeploymentScheduleCreate) -> dict[str, Any]:
    fields = schedule.model_dump(mode="json", include={"schedule", "active", "parameters", "slug"})
    definition: dict[str, Any] = fields.pop("schedule")
    return definition | fields
