"""Lists of the server, complete however long they are."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Flow
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort

from deployer.model.errors import DeployError

# The server's limit for one answer
PAGE = 200


async def all_pages(fetch: Callable[[int], Awaitable[list[Any]]]) -> list[Any]:
    """The items of `fetch(offset)` in all pages of at most PAGE.

    Raises a DeployError on a duplicate id: the list shifted between pages, so another item was missed.
    """
    items: list[Any] = []
    while True:
        page = await fetch(len(items))
        items += page
        if len(page) < PAGE:
            break
    if len({item.id for item in items}) < len(items):
        raise DeployError("the server's lists changed while they were read: run it again")
    return items


async def all_deployments(client: PrefectClient) -> list[DeploymentResponse]:
    """Every deployment. Not sorted by name, the default: several may share one, and their order differs by page."""

    async def page(offset: int) -> list[DeploymentResponse]:
        return await client.read_deployments(limit=PAGE, offset=offset, sort=DeploymentSort.CREATED_DESC)

    return await all_pages(page)


async def flow_names_by_id(client: PrefectClient) -> dict[UUID, str]:
    """The names of all flows."""

    async def page(offset: int) -> list[Flow]:
        return await client.read_flows(limit=PAGE, offset=offset)

    return {flow.id: flow.name for flow in await all_pages(page)}
