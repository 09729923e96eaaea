"""Schedules that would have no run, or would keep the server busy, by what its own scheduling code says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployer.check import dates
from deployer.files.schedules import build_schedule

LONG_AGO, SOON = (datetime.now(UTC) + timedelta(days=days) for days in (-3650, 30))
STAMP = "%Y%m%dT%H%M%S"

NEVER = {
    "minutes of no day": {"rrule": "FREQ=MINUTELY;BYMONTH=4;BYMONTHDAY=31;BYHOUR=6;BYMINUTE=0"},
    "hours of no day": {"rrule": "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30"},
    "a day of no year": {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"},
    "all that there is, excluded": {"rrule": "DTSTART:20300101T000000\nRDATE:20300101T000000\nEXDATE:20300101T000000"},
    "cron": {"cron": "0 0 31 2 *"},
    "cron of both days": {"cron": "0 0 31 4,6,9,11 *", "day_or": False},
}
OVER = {
    "counted": {"rrule": "DTSTART:20200101T000000\nRRULE:FREQ=DAILY;COUNT=5"},
    "until": {"rrule": "FREQ=DAILY;UNTIL=20210101T000000"},
    "until a day": {"rrule": "FREQ=DAILY;UNTIL=20210101"},
    "one date": {"rrule": "RDATE:20200101T000000"},
    "the rest excluded": {"rrule": "RDATE:20200101T000000\nRDATE:20300101T000000\nEXDATE:20300101T000000"},
}
BUSY = {
    "every minute since long ago": {"rrule": f"DTSTART:{LONG_AGO:{STAMP}}\nRRULE:FREQ=MINUTELY"},
    "every second since long ago": {"rrule": f"DTSTART:{LONG_AGO:{STAMP}}\nRRULE:FREQ=SECONDLY"},
}
IMPOSSIBLE = {
    "an interval beyond the calendar": {"interval": 1e12},
    "an anchor before the calendar of its zone": {
        "interval": 900,
        "anchor_date": "0001-01-01",
        "timezone": "US/Eastern",
    },
}
FIRES = {
    "cron": {"cron": "0 2 * * *", "timezone": "Europe/Paris"},
    "cron of leap days": {"cron": "0 2 29 2 *", "timezone": "Europe/Paris"},
    "interval": {"interval": 900},
    "interval from the first day": {"interval": 86400, "anchor_date": "0001-01-01", "timezone": "Asia/Tokyo"},
    "interval from a day to come": {"interval": 900, "anchor_date": "2099-01-01"},
    "interval of a part of a second": {"interval": 0.001, "anchor_date": "2000-01-01"},
    "minutes": {"rrule": "FREQ=MINUTELY", "timezone": "Asia/Tokyo"},
    "hours": {"rrule": "FREQ=HOURLY"},
    "hours of a zone": {"rrule": "FREQ=HOURLY;BYMINUTE=10", "timezone": "Europe/Paris"},
    "until": {"rrule": f"FREQ=DAILY;UNTIL={SOON:{STAMP}}"},
    "until, in UTC": {"rrule": f"DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;UNTIL={SOON:{STAMP}}Z"},
    "counted, to come": {"rrule": f"DTSTART:{SOON:{STAMP}}\nRRULE:FREQ=DAILY;COUNT=1"},
    "one date": {"rrule": f"RDATE:{SOON:{STAMP}}"},
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes minutes takes long enough."""
    monkeypatch.setattr(dates, "LIMIT", 1)


def reasons(written: dict[str, dict[str, Any]]) -> dict[str, str | None]:
    return dict(
        zip(written, dates.reasons_against([build_schedule(schedule) for schedule in written.values()]), strict=True)
    )


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("written", "start"),
    [
        (NEVER, "never fires"),
        (OVER, "is over: its last date has passed"),
        (
            BUSY,
            "keeps the server busy for more than 1 s whenever it looks for the next date, as it counts from the ",
        ),
        (IMPOSSIBLE, "has no date that the server can compute: "),
    ],
)
def test_what_would_have_no_run_is_told_with_the_reason(written: dict[str, dict[str, Any]], start: str) -> None:
    answers = reasons(written)
    assert {name for name, reason in answers.items() if not (reason and reason.startswith(start))} == set(), answers


def test_what_fires_is_passed() -> None:
    assert reasons(FIRES) == dict.fromkeys(FIRES)


@pytest.mark.usefixtures("impatient")
def test_one_that_takes_too_long_does_not_hide_the_others() -> None:
    [bad, good, worse, fine] = dates.reasons_against(
        [
            build_schedule(schedule)
            for schedule in (NEVER["minutes of no day"], FIRES["cron"], NEVER["cron"], FIRES["interval"])
        ]
    )
    assert (bad and bad.startswith("never fires"), worse, good, fine) == (
        True,
        "never fires: it has no date at all",
        None,
        None,
    )


def test_nothing_is_asked_where_there_is_no_schedule() -> None:
    assert dates.reasons_against([]) == []
