"""Whatever is wanted: once a plan is applied, the next one is empty."""

import asyncio

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from strategies import NAMES, SCHEDULES, VALUES

from deployer.model.manifest import Manifest, Resource
from deployer.server.apply import apply
from deployer.server.plan import make_plan

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
STATES = st.lists(
    DEPLOYMENTS | VARIABLES | LIMITS, max_size=5, unique_by=lambda resource: (resource.kind, resource.name)
)


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
    state = Manifest("r1", "p/lab", [pool, *resources])

    async def twice() -> list:
        async with get_client() as client:
            await apply(client, await make_plan(client, state, prune=True), lambda change: None)
            return (await make_plan(client, state, prune=True)).pending

    assert asyncio.run(twice()) == []
