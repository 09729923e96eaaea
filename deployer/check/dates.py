"""The dates of schedules, computed by the server's own scheduling code.

Some rules keep that code busy for minutes, in which a server would not answer. So a child process computes, and the
kernel ends it when a schedule takes too much of the processor.
"""

import json
import os
import signal
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect._vendor.croniter.croniter import CroniterBadDateError
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.server.schemas.actions import DeploymentScheduleCreate as ServerSchedule

from deployer.model.errors import one_line

# Seconds of processor for the next dates of one schedule. The server computes them every minute.
LIMIT = 3
# The server makes runs for so many days, and so many runs, ahead
AHEAD, RUNS = timedelta(days=100), 3
# Before any date that people write, and after the first date of datetime, which other time zones cannot have
_BEGINNING = datetime(2, 1, 1, tzinfo=UTC)

_DATE, _NONE = {"date": True}, {"date": False}
_TOO_LONG: dict[str, Any] = {}


def reasons_against(schedules: Sequence[DeploymentScheduleCreate]) -> list[str | None]:
    """For every schedule why it would have no run, or None if it has a next date."""
    texts = [schedule.model_dump_json(include={"schedule"}, exclude_unset=True) for schedule in schedules]
    answers = _ask(set(texts), datetime.now(UTC))
    from_beginning = _ask({text for text, answer in answers.items() if answer in (_NONE, _TOO_LONG)}, _BEGINNING)
    return [_reason(answers[text], from_beginning.get(text)) for text in texts]


def _reason(answer: dict[str, Any], from_beginning: dict[str, Any] | None) -> str | None:
    if answer == _DATE:
        return None
    if "error" in answer:
        return f"has no date that the server can compute: {answer['error']}"
    if answer == _NONE:
        return "is over: its last date has passed" if from_beginning == _DATE else "never fires: it has no date at all"
    if from_beginning == _DATE:
        return (
            f"keeps the server busy for more than {LIMIT} s whenever it looks for the next date, as it counts from the "
            "first: write a DTSTART of this week"
        )
    return (
        f"never fires, or keeps the server busy for more than {LIMIT} s whenever it looks for the next date: correct "
        "its days, or write FREQ=DAILY with BYHOUR and BYMINUTE"
    )


def _ask(schedules: Iterable[str], start: datetime) -> dict[str, dict[str, Any]]:
    """Whether each schedule, as JSON, has a date from `start` on; or the error instead."""
    answers: dict[str, dict[str, Any]] = {}
    while unanswered := [schedule for schedule in schedules if schedule not in answers]:
        answers |= dict(zip(unanswered, [*_answers(unanswered, start), _TOO_LONG], strict=False))
    return answers


def _answers(schedules: list[str], start: datetime) -> list[dict[str, Any]]:
    """The answers up to the schedule that takes too long."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process
            for schedule in schedules:
                signal.setitimer(signal.ITIMER_PROF, LIMIT)
                os.write(writing, f"{json.dumps(_answer(schedule, start))}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        answers = [json.loads(line) for line in lines]
    os.waitpid(child, 0)
    return answers


def _answer(schedule: str, start: datetime) -> dict[str, Any]:
    try:
        fires = False
        for date in ServerSchedule.model_validate_json(schedule).schedule._get_dates_generator(n=RUNS, start=start):
            fires = True
            if date > start + AHEAD:
                break
    except CroniterBadDateError:
        return _NONE
    except Exception as error:
        return {"error": one_line(error)}
    return {"date": fires}
