"""Work pools and their queues."""

from collections.abc import Iterable
from typing import Any

from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkQueue
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from deployer.model.errors import DeployError
from deployer.model.manifest import Resource
from deployer.server.kinds.kind import Comparison, Kind, ServerResource
from deployer.server.kinds.queries import PAGE, all_pages


class WorkPools(Kind):
    """Process pools: the workers here serve no others."""

    title = "work pool"

    @classmethod
    def undeclared(cls, served: Iterable[str], resources: Iterable[Resource]) -> list[Resource]:
        """The pools that workers serve and `resources` lack."""
        names = {resource.name for resource in resources if resource.kind == cls.title}
        return [Resource(cls.title, name, {"type": ProcessWorker.type}) for name in sorted({*served} - names)]

    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        pools = await all_pages(lambda offset: self._client.read_work_pools(PAGE, offset))
        return {pool.name: ServerResource(pool.name, pool.model_dump(mode="json")) for pool in pools}

    def compare(self, resource: Resource, current: ServerResource) -> Comparison:
        if current.fields["type"] != resource.fields["type"]:
            raise DeployError(
                f"the work pool {resource.name!r} is of type {current.fields['type']!r}, and the workers here serve "
                f"{resource.fields['type']!r} pools: use another pool's name"
            )
        return super().compare(resource, current)

    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        if current:
            rest = {field: value for field, value in fields.items() if field != "type"}
            await self._client.update_work_pool(name, WorkPoolUpdate(**rest))
        else:
            template = ProcessWorker.get_default_base_job_template()
            await self._client.create_work_pool(WorkPoolCreate(name=name, **{"base_job_template": template} | fields))


class WorkQueues(Kind):
    """Queues, named `<pool>/<queue>`."""

    title = "work queue"
    several_at_once = False  # a write shifts the priorities of the pool's other queues

    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        async def page(offset: int) -> list[WorkQueue]:
            return await self._client.read_work_queues(limit=PAGE, offset=offset)

        return {
            f"{queue.work_pool_name}/{queue.name}": ServerResource(queue.id, queue.model_dump(mode="json"))
            for queue in await all_pages(page)
        }

    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        pool, _, queue = name.partition("/")
        if not current:
            try:
                await self._client.create_work_queue(name=queue, work_pool_name=pool, **fields)
                return
            except ObjectAlreadyExists:  # the default queue, created with its pool
                existing = await self._client.read_work_queue_by_name(queue, pool)
                current = ServerResource(existing.id, {})
        await self._client.update_work_queue(current.id, **fields)
