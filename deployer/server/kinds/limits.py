"""Concurrency limits: named ones, which flows ask for, and those of task runs with a tag."""

from typing import Any

from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate

from deployer.server.kinds.kind import PAGE, Held, Kind, pages


class GlobalConcurrencyLimits(Kind):
    """Limits by name."""

    title = "global concurrency limit"

    async def read(self, names: set[str]) -> dict[str, Held]:
        found = await pages(lambda offset: self._client.read_global_concurrency_limits(PAGE, offset))
        return {each.name: Held(each.name, each.model_dump(mode="json")) for each in found}

    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        if held:
            await self._client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(**fields))
        else:
            await self._client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, **fields))


class TagConcurrencyLimits(Kind):
    """Limits by tag."""

    title = "tag concurrency limit"

    async def read(self, names: set[str]) -> dict[str, Held]:
        found = await pages(lambda offset: self._client.read_concurrency_limits(PAGE, offset))
        return {each.tag: Held(each.tag, {"concurrency_limit": each.concurrency_limit}) for each in found}

    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        # the server takes it as an update where there is one
        await self._client.create_concurrency_limit(name, **fields)
