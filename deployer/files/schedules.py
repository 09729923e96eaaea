"""Schedules as `prefect.yaml` writes them, made into Prefect's own objects."""

import re
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from prefect._vendor.croniter.croniter import croniter
from prefect.cli.deploy._models import RawScheduleConfig
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.types._datetime import get_timezones, parse_datetime
from pydantic import ValidationError

from deployer.files.fields import quote_hint, suggestion

Schedule = CronSchedule | IntervalSchedule | RRuleSchedule
KINDS: dict[str, type[Schedule]] = {"cron": CronSchedule, "interval": IntervalSchedule, "rrule": RRuleSchedule}
# By kind: the fields that only schedules of this kind have
_EXTRAS: dict[str, tuple[str, ...]] = {"cron": ("day_or",), "interval": ("anchor_date",), "rrule": ()}
# Fields of other places and other versions, with their mend
_INSTEAD = {
    "paused": "write `active: false`",
    "is_schedule_active": "write `active: false`",
    "start_date": "write `anchor_date`",
    "enabled": "write `active`",
    "work_pool": "it belongs into the deployment",
    "job_variables": "it belongs under `work_pool` of the deployment",
    "tags": "it belongs into the deployment",
}


class ScheduleError(Exception):
    """The reasons against fields of a schedule, by field; "" is the schedule as a whole."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons


def build_schedule(written: dict[str, Any]) -> DeploymentScheduleCreate:
    """The schedule as Prefect's object; `active` and its start are only set on it if they are written.

    Raises a ScheduleError.
    """
    try:
        raw = RawScheduleConfig.model_validate(written)
    except ValidationError as error:
        raise ScheduleError(_reasons(written, error)) from None
    kind = next(kind for kind in KINDS if getattr(raw, kind) is not None)
    reasons = _reasons_beyond_prefect(raw, written, kind)
    fields = {name: getattr(raw, name) for name in (kind, *_EXTRAS[kind]) if getattr(raw, name) is not None}
    if "anchor_date" in fields:
        try:
            fields["anchor_date"] = _moment(fields["anchor_date"])
        except ValueError as error:
            reasons["anchor_date"] = f"{raw.anchor_date!r} {error}"
            del fields["anchor_date"]
    if raw.timezone is not None and "timezone" not in reasons:
        fields["timezone"] = raw.timezone
    try:
        schedule = KINDS[kind](**fields)
        if not reasons:
            return _create(raw, schedule)
    except ValidationError as error:
        reasons = _reasons(written, error) | reasons
    except (TypeError, AttributeError, IndexError) as error:  # dateutil, on some malformed rules
        reasons.setdefault(kind, _explain(kind, written[kind], str(error)))
    raise ScheduleError(reasons)


def _create(raw: RawScheduleConfig, schedule: Schedule) -> DeploymentScheduleCreate:
    options = {name: getattr(raw, name) for name in ("active", "slug", "replaces") if getattr(raw, name) is not None}
    create = DeploymentScheduleCreate(schedule=schedule, parameters=raw.parameters, **options)
    if isinstance(schedule, RRuleSchedule):  # as it is written: Prefect adds a DTSTART to a rule without one
        create = create.model_copy(update={"schedule": schedule.model_copy(update={"rrule": raw.rrule})})
    return create


def _reasons_beyond_prefect(raw: RawScheduleConfig, written: dict[str, Any], kind: str) -> dict[str, str]:
    """The reasons against fields that Prefect accepts, and then ignores or misreads."""
    reasons = {
        field: f"belongs to another kind of schedule than {kind}: remove it"
        for field in ("day_or", "anchor_date")
        if field not in _EXTRAS[kind] and getattr(raw, field) is not None
    }
    if isinstance(written.get("interval"), bool):
        reasons["interval"] = "must be a number of seconds, such as 900, or a text such as PT15M"
    if raw.timezone is not None and raw.timezone not in get_timezones():
        reasons["timezone"] = _unknown_timezone(raw.timezone)
    if raw.rrule is not None and (reason := _misread(raw.rrule, raw.timezone)):
        reasons[kind] = f"{raw.rrule!r} {reason}"
    return reasons


def _unknown_timezone(name: str) -> str:
    by_lower = {zone.lower(): zone for zone in get_timezones()}
    close = get_close_matches(name.lower().replace(" ", "_"), by_lower, 1, cutoff=0.8)
    mend = f"did you mean {by_lower[close[0]]!r}?" if close else "write one such as Europe/Paris"
    return f"{name!r} is not an IANA time zone: {mend}"


def _moment(text: str) -> datetime:
    """The moment that a text names. Raises a ValueError without a date: Prefect would take the day of the reading."""
    if not re.match(r"\d{4}-?(\d\d|W\d\d)", text):
        raise ValueError("must have a date, such as 2026-01-31T02:00:00")
    try:
        moment = parse_datetime(text)
    except ValueError as error:
        raise ValueError(f"is not an ISO 8601 date and time: {error}") from None
    if not isinstance(moment, datetime):
        raise ValueError("is not an ISO 8601 date and time: it names a span of time")
    return moment


def _misread(rrule: str, timezone: str | None) -> str | None:
    """Why the server would not read the rule as it is written; None if it does."""
    text = rrule.upper()
    # A rule that does not step forward keeps the server busy for ever
    if re.search(r"INTERVAL=[+-]?0*(?!\d)|INTERVAL=-", text):
        return "never gets further: INTERVAL must be 1 or more"
    if zone := re.search(r"TZID=([^:;,\s]+)", rrule, re.IGNORECASE):
        return f"TZID is ignored: write timezone: {zone[1]} beside the rule, and no TZID"
    until, start = (re.search(rf"{part}[=:][0-9T]+(Z?)", text) for part in ("UNTIL", "DTSTART"))
    if until and until[1] != (start[1] if start else ""):
        written = " and ".join(part[0].removesuffix("Z") for part in (until, start) if part)
        return f"has a Z at one of UNTIL and DTSTART, and the server takes it at both or at none: write {written}"
    if re.search(r"\dZ", text) and timezone not in (None, "UTC", "Etc/UTC"):
        return f"has a Z that is ignored: its times are those of timezone: {timezone}; leave every Z out"
    return None


def _reasons(written: dict[str, Any], error: ValidationError) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        field = str(detail["loc"][0]) if detail["loc"] else ""
        if detail["type"] == "extra_forbidden":
            reasons[field] = (
                f"is not a field of a schedule: {_INSTEAD.get(field) or suggestion(field, RawScheduleConfig)}"
            )
        elif not field:
            reasons[field] = "needs exactly one of cron, interval and rrule"
        else:
            reasons[field] = quote_hint(detail) or _explain(field, written.get(field), detail["msg"])
    return reasons


def _explain(field: str, value: Any, message: str) -> str:
    message = message.removeprefix("Value error, ")
    if field == "cron":
        return f"{value!r} is not a cron expression: {_cron_reason(value) or message}"
    if field == "interval" and isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value):
        return f"{value!r} is a text: write {value} without quotes"
    if field == "interval":
        return f"{value!r} is not an interval, such as 900 (seconds) or PT15M: {message}"
    if field == "rrule":
        return f"{value!r} is not a recurrence rule, such as FREQ=DAILY: {message}"
    return message


def _cron_reason(value: Any) -> str | None:
    try:
        croniter(value)  # type: ignore[no-untyped-call]
    except Exception as error:
        return str(error)
    return None
