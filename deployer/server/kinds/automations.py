"""Automations: what the server does by itself when an event happens, or does not."""

from typing import Any

from prefect.client.schemas.objects import BlockDocument, WorkQueue
from prefect.events.schemas.automations import Automation, AutomationCore

from deployer.model.automations import automation_fields
from deployer.model.errors import DeployError
from deployer.model.manifest import Resource
from deployer.model.references import PREFIXES, REFERENCE, reference, references_in, replace_ids
from deployer.server.kinds.blocks import NotificationBlocks, SecretBlocks
from deployer.server.kinds.deployments import Deployments
from deployer.server.kinds.kind import Kind, ServerResource
from deployer.server.kinds.queries import PAGE, all_deployments, all_pages, flow_names_by_id
from deployer.server.kinds.work_pools import WorkPools, WorkQueues

# How references begin to resources that the same plan may create
_PREFIXES_OF_KINDS = {
    SecretBlocks.title: f"{PREFIXES['block']}{SecretBlocks.block.get_block_type_slug()}.",
    NotificationBlocks.title: f"{PREFIXES['block']}{NotificationBlocks.block.get_block_type_slug()}.",
    Deployments.title: PREFIXES["deployment"],
    WorkPools.title: PREFIXES["pool"],
    WorkQueues.title: PREFIXES["queue"],
}


class Automations(Kind):
    """Marked by a tag. Their fields hold references where the server's hold ids."""

    title = "automation"

    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        async def page(offset: int) -> list[Automation]:
            return await self._client.read_automations(limit=PAGE, offset=offset)

        automations: list[Automation] = [
            automation
            for automation in await all_pages(page)
            if automation.name in names or self._owner in automation.tags
        ]
        references = {id_: name for name, id_ in (await self._ids_by_reference()).items()} if automations else {}
        return {
            automation.name: ServerResource(
                automation.id,
                replace_ids(automation_fields(automation), lambda id_: references.get(id_, id_)),
                self._owner in automation.tags,
            )
            for automation in automations
        }

    async def check(self, resources: list[Resource], all_resources: list[Resource]) -> None:
        if not any(references_in(resource.fields) for resource in resources):
            return
        planned = {
            reference(_PREFIXES_OF_KINDS[resource.kind] + resource.name)
            for resource in all_resources
            if resource.kind in _PREFIXES_OF_KINDS
        }
        known = planned | (await self._ids_by_reference()).keys()
        for resource in resources:
            for match in references_in(resource.fields):
                if match[0] not in known:
                    raise _unknown(resource.name, match[0])

    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        ids = await self._ids_by_reference()

        def id_of(text: str) -> str:
            if not REFERENCE.fullmatch(text):  # an id in a label
                return text
            if text not in ids:
                raise _unknown(name, text)
            return ids[text]

        # The server's values stay for fields that the file leaves out
        complete = (current.fields if current else {}) | fields | {"name": name}
        automation = AutomationCore.model_validate(replace_ids(complete, id_of))
        if current:
            await self._client.update_automation(current.id, automation)
        else:
            await self._client.create_automation(automation)

    async def delete(self, current: ServerResource) -> None:
        await self._client.delete_automation(current.id)

    async def _ids_by_reference(self) -> dict[str, str]:
        """The ids of all that a reference can name."""

        async def blocks(offset: int) -> list[BlockDocument]:
            return await self._client.read_block_documents(offset=offset, limit=PAGE, include_secrets=False)

        async def queues(offset: int) -> list[WorkQueue]:
            return await self._client.read_work_queues(limit=PAGE, offset=offset)

        flow_names = await flow_names_by_id(self._client)
        pools = await all_pages(lambda offset: self._client.read_work_pools(PAGE, offset))
        names = {
            f"{PREFIXES['block']}{block.block_type.slug}.{block.name}": block.id
            for block in await all_pages(blocks)
            if block.block_type
        }
        names |= {f"{PREFIXES['pool']}{pool.name}": pool.id for pool in pools}
        names |= {
            f"{PREFIXES['queue']}{queue.work_pool_name}/{queue.name}": queue.id for queue in await all_pages(queues)
        }
        names |= {
            f"{PREFIXES['deployment']}{flow_names.get(deployment.flow_id)}/{deployment.name}": deployment.id
            for deployment in await all_deployments(self._client)
        }
        return {reference(name): str(id_) for name, id_ in names.items()}


def _unknown(automation: str, text: str) -> DeployError:
    return DeployError(f"the automation {automation!r} names {text}, which the server does not have: correct it")
