"""Concurrency limits: named ones, which flows ask for, and those of task runs with a tag."""

from typing import Any

from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate

from deployer.server.kinds.kind import Kind, ServerResource
from deployer.server.kinds.queries import PAGE, all_pages


class GlobalConcurrencyLimits(Kind):
    """Limits by name."""

    title = "global concurrency limit"

    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        limits = await all_pages(lambda offset: self._client.read_global_concurrency_limits(PAGE, offset))
        return {limit.name: ServerResource(limit.name, limit.model_dump(mode="json")) for limit in limits}

    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        if current:
            await self._client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(**fields))
        else:
            await self._client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, **fields))


class TagConcurrencyLimits(Kind):
    """Limits by tag."""

    title = "tag concurrency limit"

    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        limits = await all_pages(lambda offset: self._client.read_concurrency_limits(PAGE, offset))
        return {
            limit.tag: ServerResource(limit.tag, {"concurrency_limit": limit.concurrency_limit}) for limit in limits
        }

    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        # the server updates the limit if the tag has one
        await self._client.create_concurrency_limit(name, **fields)
