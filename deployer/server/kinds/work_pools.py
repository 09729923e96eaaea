"""Work pools and their queues."""

from collections.abc import Iterable
from typing import Any

from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkQueue
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from deployer.model.errors import DeployError
from deployer.model.manifest import Resource
from deployer.server.kinds.kind import PAGE, Comparison, Held, Kind, pages


class WorkPools(Kind):
    """Process pools: the workers here serve no others."""

    title = "work pool"

    @classmethod
    def undeclared(cls, served: Iterable[str], declared: Iterable[Resource]) -> list[Resource]:
        """The pools that workers serve and no file declares, as they are made."""
        names = {resource.name for resource in declared if resource.kind == cls.title}
        return [Resource(cls.title, name, {"type": ProcessWorker.type}) for name in sorted({*served} - names)]

    async def read(self, names: set[str]) -> dict[str, Held]:
        found = await pages(lambda offset: self._client.read_work_pools(PAGE, offset))
        return {each.name: Held(each.name, each.model_dump(mode="json")) for each in found}

    def compare(self, resource: Resource, held: Held) -> Comparison:
        if held.fields["type"] != resource.fields["type"]:
            raise DeployError(
                f"the work pool {resource.name!r} is of type {held.fields['type']!r}, and the workers here serve "
                f"{resource.fields['type']!r} pools: use another pool's name"
            )
        return super().compare(resource, held)

    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        if held:
            rest = {field: value for field, value in fields.items() if field != "type"}
            await self._client.update_work_pool(name, WorkPoolUpdate(**rest))
        else:
            template = ProcessWorker.get_default_base_job_template()
            await self._client.create_work_pool(WorkPoolCreate(name=name, **{"base_job_template": template} | fields))


class WorkQueues(Kind):
    """Queues, named `<pool>/<queue>`."""

    title = "work queue"
    several_at_once = False  # it moves the priorities of a pool's other queues along

    async def read(self, names: set[str]) -> dict[str, Held]:
        async def page(offset: int) -> list[WorkQueue]:
            return await self._client.read_work_queues(limit=PAGE, offset=offset)

        return {
            f"{each.work_pool_name}/{each.name}": Held(each.id, each.model_dump(mode="json"))
            for each in await pages(page)
        }

    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        pool, _, queue = name.partition("/")
        if not held:
            try:
                await self._client.create_work_queue(name=queue, work_pool_name=pool, **fields)
                return
            except ObjectAlreadyExists:  # the one that comes with its pool
                found = await self._client.read_work_queue_by_name(queue, pool)
                held = Held(found.id, {})
        await self._client.update_work_queue(held.id, **fields)
