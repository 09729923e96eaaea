"""Properties of the difference between what is held and what is wanted."""

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import NAMES, SCHEDULES, VALUES

from deployer.files.schedules import build_schedule
from deployer.model.differences import ABSENT, Difference, differences
from deployer.server import report
from deployer.server.kinds.deployment_schedules import merge_schedules

TEXTS = st.text('aé \n"\u2028', max_size=200)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)


def changed(value: Any, field: str, new: object) -> None:
    """Put a new value at a field."""
    *path, last = [int(part) if part.isdigit() else part for part in re.findall(r"\w+", field)]
    for part in path:
        value = value[part]
    if last == len(value) and isinstance(value, list):
        value.append(new)
    else:
        value[last] = new


def present(value: Any) -> Any:
    """The same without what is absent."""
    if isinstance(value, dict):
        return {key: present(item) for key, item in value.items() if item is not ABSENT}
    return [present(item) for item in value if item is not ABSENT] if isinstance(value, list) else value


def text(value: dict) -> str:
    """As JSON tells one from the other: true is not 1. At the top, what is null may as well not be there."""
    return json.dumps({key: item for key, item in value.items() if item is not None}, sort_keys=True)


@given(OBJECTS)
def test_nothing_differs_from_itself(value: dict) -> None:
    assert differences(value, value) == []


@given(OBJECTS, OBJECTS)
def test_the_differences_are_the_way_from_one_to_the_other(old: dict, new: dict) -> None:
    reached = copy.deepcopy({name: value for name, value in old.items() if name in new})
    for difference in differences(old, new):
        changed(reached, difference.field, difference.new)
    assert text(present(reached)) == text(new)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"parameters": {}}, {"parameters": {"day": None}}, [("parameters.day", ABSENT, None)]),
        ({"parameters": {"day": None}}, {"parameters": {}}, [("parameters.day", None, ABSENT)]),
        ({}, {"concurrency_limit": None}, []),
        ({"a": [1, 0]}, {"a": [True, False]}, [("a", [1, 0], [True, False])]),
        ({"a": {"b": 1}}, {"a": {"b": True}}, [("a.b", 1, True)]),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 3, "c": 2}]}, [("a[0].b", 1, 3)]),
        ({"a": [{"b": 1}, {"c": 2}]}, {"a": [{"b": 1}]}, [("a[1]", {"c": 2}, ABSENT)]),
    ],
)
def test_what_is_told_of_a_difference(old: dict, new: dict, expected: list[tuple]) -> None:
    assert [(difference.field, difference.old, difference.new) for difference in differences(old, new)] == expected


@pytest.mark.parametrize(
    ("current", "desired"), [({"day": "2026-06-30"}, {"day": None}), ({"day": None}, {}), ({}, {"day": None})]
)
def test_a_schedule_may_set_a_parameter_to_null(current: dict, desired: dict) -> None:
    cron = {"schedule": {"cron": "0 2 * * *"}, "slug": "night"}
    written, [difference] = merge_schedules([cron | {"parameters": desired}], [cron | {"parameters": current}])
    assert difference.field == "schedules.night.parameters.day"
    assert written[0]["parameters"] == desired


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (ABSENT, None, "(none) -> null"),
        ("a  b", "a b", '"a  b" -> "a b"'),
        ("a\u00a0b", "a b", '"a\\u00a0b" -> "a b"'),
        ("(hidden)", "(hidden)", ""),
    ],
)
def test_a_difference_is_one_line_that_shows_it(old: object, new: object, line: str) -> None:
    assert report._shown(Difference("field", old, new)).removeprefix(": ") == line


@given(TEXTS, TEXTS, TEXTS, TEXTS)
@example("", 'aaaa""""""""""""\u2028\u2028', 'aaaa""""""""""""\u2028\u2028', 'aaaa""""""""a"""\u2028\u2028')
def test_long_texts_are_cut_to_where_they_differ(old: str, new: str, before: str, after: str) -> None:
    shown = report._shown(Difference("field", before + old + after, before + new + after))
    assert len(shown.splitlines()) <= 1
    assert len(shown) < 3 * report.LONGEST
    left, _, right = shown.removeprefix(": ").partition(" -> ")
    assert (left == right) == (old == new)


@pytest.mark.parametrize(
    ("written", "began"),
    [
        ({"interval": 900}, {"anchor_date": "2020-01-01T00:07:00Z"}),
        ({"rrule": "FREQ=MINUTELY;INTERVAL=5"}, {"rrule": "DTSTART:20200101T000700\nFREQ=MINUTELY;INTERVAL=5"}),
    ],
    ids=["interval", "rrule"],
)
def test_what_has_no_start_goes_on_from_where_it_began(written: dict, began: dict) -> None:
    desired = [{"schedule": build_schedule(written).model_dump(mode="json", exclude_unset=True)["schedule"]}]
    first, [created] = merge_schedules(desired, [])
    assert created.old is ABSENT
    current = [first[0] | {"schedule": first[0]["schedule"] | began}]
    carried, differing = merge_schedules(desired, current)
    assert differing == []
    assert carried[0]["schedule"].items() >= began.items()


@given(SCHEDULES, SCHEDULES)
def test_schedules_once_written_differ_no_more(current: list[dict], desired: list[dict]) -> None:
    written, _ = merge_schedules(desired, current)
    assert merge_schedules(desired, written)[1] == []
