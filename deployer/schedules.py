"""Schedules as `prefect.yaml` writes them, made into Prefect's own objects."""

import re
from typing import Any

from prefect._vendor.croniter import CroniterBadDateError, croniter
from prefect.cli.deploy._models import RawScheduleConfig
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.types._datetime import get_timezones, parse_datetime
from pydantic import ValidationError

KINDS = {"cron": CronSchedule, "interval": IntervalSchedule, "rrule": RRuleSchedule}
# What a schedule of each kind reads besides the fields that all have
_EXTRAS = {"cron": ("day_or",), "interval": ("anchor_date",), "rrule": ()}


class BadSchedule(Exception):
    """Fields of a schedule that are wrong, and why."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons


def build(written: dict[str, Any]) -> DeploymentScheduleCreate:
    """The schedule that `written` describes; `active` and its start are only set on it where they are written."""
    try:
        raw = RawScheduleConfig.model_validate(written)
    except ValidationError as error:
        raise BadSchedule(_reasons(written, error)) from None
    kind = next(kind for kind in KINDS if getattr(raw, kind) is not None)
    reasons = {
        field: f"belongs to another kind of schedule than {kind}: remove it"
        for field in ("day_or", "anchor_date")
        if field not in _EXTRAS[kind] and getattr(raw, field) is not None
    }
    if raw.timezone is not None and raw.timezone not in get_timezones():
        reasons["timezone"] = f"{raw.timezone!r} is not an IANA time zone, such as Europe/Paris"
    given = {name: getattr(raw, name) for name in (kind, *_EXTRAS[kind]) if getattr(raw, name) is not None}
    if "anchor_date" in given:
        try:
            given["anchor_date"] = parse_datetime(given["anchor_date"])
        except ValueError as error:
            reasons["anchor_date"] = f"{raw.anchor_date!r} is not an ISO 8601 date and time: {error}"
            del given["anchor_date"]
    if raw.timezone is not None and "timezone" not in reasons:
        given["timezone"] = raw.timezone
    options = {name: getattr(raw, name) for name in ("active", "slug", "replaces") if getattr(raw, name) is not None}
    try:
        schedule = KINDS[kind](**given)
        if reason := _never(schedule):
            reasons[kind] = f"{written[kind]!r} {reason}"
        if not reasons:
            create = DeploymentScheduleCreate(schedule=schedule, parameters=raw.parameters, **options)
            if kind == "rrule":  # as it is written: Prefect adds a DTSTART to one that has none
                create = create.model_copy(update={"schedule": schedule.model_copy(update={"rrule": raw.rrule})})
            return create
    except ValidationError as error:
        reasons |= _reasons(written, error)
    except (TypeError, AttributeError, IndexError) as error:  # dateutil, on some malformed rules
        reasons[kind] = _explain(kind, written[kind], str(error))
    raise BadSchedule(reasons)


def _never(schedule: CronSchedule | IntervalSchedule | RRuleSchedule) -> str | None:
    """Why a schedule never fires, where that can be told at once."""
    if isinstance(schedule, CronSchedule):
        try:
            croniter(schedule.cron, day_or=schedule.day_or).get_next()
        except CroniterBadDateError:
            return "never fires: there is no such day"
    # One that does not step forward keeps the server busy for ever
    if isinstance(schedule, RRuleSchedule) and re.search(r"INTERVAL=[+-]?0*(?!\d)|INTERVAL=-", schedule.rrule.upper()):
        return "never gets further: INTERVAL must be 1 or more"
    return None


def _reasons(written: dict[str, Any], error: ValidationError) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        field = str(detail["loc"][0]) if detail["loc"] else ""
        if detail["type"] == "extra_forbidden":
            reasons[field] = "is not a field of a schedule"
        elif not field:
            reasons[field] = "needs exactly one of cron, interval and rrule"
        else:
            reasons[field] = _explain(field, written.get(field), detail["msg"])
    return reasons


def _explain(field: str, value: Any, message: str) -> str:
    message = message.removeprefix("Value error, ")
    if field == "cron":
        return f"{value!r} is not a cron expression: {_cron_reason(value) or message}"
    if field == "interval":
        return f"{value!r} is not an interval, such as 900 (seconds) or PT15M: {message}"
    if field == "rrule":
        return f"{value!r} is not a recurrence rule, such as FREQ=DAILY: {message}"
    return message


def _cron_reason(value: Any) -> str | None:
    try:
        croniter(value)
    except Exception as error:
        return str(error)
    return None
