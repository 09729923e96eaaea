"""Properties of the difference between what is held and what is wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import NAMES, SCHEDULES, VALUES

from deployer.differences import differences
from deployer.kinds.schedules import schedules_over
from deployer.schedules import build

OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)


def changed(value: dict, path: list[str], new: object) -> None:
    """Put a new value at a path."""
    for name in path[:-1]:
        value = value[name]
    if new is None:
        value.pop(path[-1], None)
    else:
        value[path[-1]] = new


def without_nothing(value: object) -> object:
    """The same without what is None in objects: not to be there and to be nothing is the same."""
    if isinstance(value, dict):
        return {key: without_nothing(one) for key, one in value.items() if one is not None}
    return value


@given(OBJECTS)
def test_nothing_differs_from_itself(value: dict) -> None:
    assert differences(value, value) == []


@given(OBJECTS, OBJECTS)
def test_the_differences_are_the_way_from_one_to_the_other(old: dict, new: dict) -> None:
    reached = {name: value for name, value in old.items() if name in new}
    for each in differences(old, new):
        changed(reached, each.field.split("."), each.new)
    assert without_nothing(reached) == without_nothing(new)


@pytest.mark.parametrize(
    ("written", "began"),
    [
        ({"interval": 900}, {"anchor_date": "2020-01-01T00:07:00Z"}),
        ({"rrule": "FREQ=MINUTELY;INTERVAL=5"}, {"rrule": "DTSTART:20200101T000700\nFREQ=MINUTELY;INTERVAL=5"}),
    ],
    ids=["interval", "rrule"],
)
def test_what_has_no_start_goes_on_from_where_it_began(written: dict, began: dict) -> None:
    wanted = [{"schedule": build(written).model_dump(mode="json", exclude_unset=True)["schedule"]}]
    first, [created] = schedules_over(wanted, [])
    assert created.old is None
    held = [first[0] | {"schedule": first[0]["schedule"] | began}]
    carried, found = schedules_over(wanted, held)
    assert found == []
    assert carried[0]["schedule"].items() >= began.items()


@given(SCHEDULES, SCHEDULES)
def test_schedules_once_written_differ_no_more(held: list[dict], wanted: list[dict]) -> None:
    written, _ = schedules_over(wanted, held)
    assert schedules_over(wanted, written)[1] == []
