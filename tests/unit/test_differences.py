"""Properties of the difference between what is held and what is wanted, and of a plan once it is applied."""

import asyncio

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployer.apply import apply
from deployer.differences import differences
from deployer.kinds.schedules import schedules_over
from deployer.plan import make
from deployer.state import Resource, State

NAMES = st.text("abc", min_size=1, max_size=2)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
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


CRONS = st.sampled_from(["0 1 * * *", "0 2 * * *", "*/5 * * * *"])
SCHEDULES = st.lists(
    st.fixed_dictionaries(
        {
            "schedule": st.fixed_dictionaries({"cron": CRONS}, optional={"timezone": st.just("Europe/Paris")})
            | st.fixed_dictionaries({"interval": st.sampled_from([60, 900])})
        },
        optional={
            "slug": st.sampled_from(["one", "two", "three"]),
            "active": st.booleans(),
            "parameters": st.dictionaries(st.just("day"), st.integers(0, 3), max_size=1),
        },
    ),
    max_size=4,
    unique_by=lambda each: each.get("slug") or id(each),
)


@given(SCHEDULES, SCHEDULES)
def test_schedules_once_written_differ_no_more(held: list[dict], wanted: list[dict]) -> None:
    written, _ = schedules_over(wanted, held)
    assert schedules_over(wanted, written)[1] == []


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
TAGS = st.lists(st.sampled_from(["a", "b", "c"]), unique=True)
FLOWS = st.sampled_from(["p-one", "p-two"])


def deployment(flow: str, name: str, schedules: list[dict], values: dict) -> Resource:
    labels = {"platform.owner": "p/lab", "platform.release": "r1"}
    fields = {"labels": labels, "work_pool_name": "p-pool", "work_queue_name": "default", "schedules": schedules}
    return Resource("deployment", f"{flow}/{name}", fields | values)


DEPLOYMENTS = st.builds(
    deployment,
    FLOWS,
    st.sampled_from(["x", "y"]),
    SCHEDULES,
    st.fixed_dictionaries(
        {
            "description": TEXTS,
            "tags": TAGS,
            "parameters": st.dictionaries(NAMES, VALUES, max_size=2),
            "job_variables": st.dictionaries(NAMES, TEXTS, max_size=2),
            "concurrency_limit": st.none() | st.integers(1, 3),
            "enforce_parameter_schema": st.just(False),
            "paused": st.booleans(),
        }
    ),
)
VARIABLES = st.builds(
    lambda name, value, tags: Resource("variable", name, {"value": value, "tags": [*tags, "p/lab"]}),
    st.sampled_from(["p_one", "p_two"]),
    VALUES,
    TAGS,
)
LIMITS = st.builds(
    lambda name, limit, active: Resource(
        "global concurrency limit", name, {"limit": limit, "active": active, "slot_decay_per_second": 0.0}
    ),
    st.sampled_from(["p-limit", "p-other"]),
    st.integers(0, 5),
    st.booleans(),
)
STATES = st.lists(DEPLOYMENTS | VARIABLES | LIMITS, max_size=5, unique_by=lambda each: (each.kind, each.name))


@pytest.fixture(scope="module")
def _on_the_server(prefect_server):
    with temporary_settings({PREFECT_API_URL: prefect_server.url, PREFECT_API_AUTH_STRING: prefect_server.auth}):
        yield


# Each example is several requests: what fails is shown as it is, not made as small as can be
@pytest.mark.usefixtures("_on_the_server")
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(STATES)
def test_after_a_plan_is_applied_the_next_one_is_empty(resources: list[Resource]) -> None:
    pool = Resource("work pool", "p-pool", {"type": "process", "description": None, "concurrency_limit": None})
    state = State("r1", "p/lab", [pool, *resources])

    async def twice() -> list:
        async with get_client() as client:
            await apply(client, await make(client, state, prune=True), lambda change: None)
            return (await make(client, state, prune=True)).pending

    assert asyncio.run(twice()) == []
