"""Automations: what the server does by itself when something happens, or does not."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.client.schemas.objects import BlockDocument, WorkQueue
from prefect.events.actions import ActionTypes
from prefect.events.schemas.automations import Automation, AutomationCore
from pydantic import Field

from deployer.model.errors import DeployError
from deployer.model.manifest import Resource
from deployer.server.kinds.blocks import NotificationBlocks, SecretBlocks
from deployer.server.kinds.deployments import Deployments
from deployer.server.kinds.kind import PAGE, Held, Kind, deployments, pages
from deployer.server.kinds.work_pools import WorkPools, WorkQueues

# How the file names what the server knows by an id
REFERENCE = re.compile(
    r"\{\{\s*prefect\.(?:blocks\.(?P<block>[\w-]+\.[\w-]+)|deployments\.(?P<deployment>[^{}]+?)"
    r"|work_pools\.(?P<pool>[^{}]+?)|work_queues\.(?P<queue>[^{}]+?))\s*\}\}"
)
# The groups of REFERENCE, and how their names begin
BEGINNINGS = {
    "block": "blocks.",
    "deployment": "deployments.",
    "pool": "work_pools.",
    "queue": "work_queues.",
}
# What each field that holds an id names
ID_FIELDS = {
    "block_document_id": "block",
    "deployment_id": "deployment",
    "work_pool_id": "pool",
    "work_queue_id": "queue",
}
UUID_ = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Labels of events, whose values may name an id anywhere: prefect.deployment.{{ prefect.deployments.flow/name }}
LABELS = {"match", "match_related"}
IN_LABELS = re.compile(rf"\{{\{{[^{{}}]*\}}\}}|{UUID_}")
PARTS = re.compile(rf"\{{\{{[^{{}}]*\}}\}}|prefect\.(?:block-document|deployment|work-pool|work-queue)\.{UUID_}")


class Declared(AutomationCore):
    """An automation as it may be written. Prefect's own also holds actions that only a newer server would know."""

    actions: list[ActionTypes]
    actions_on_trigger: list[ActionTypes] = Field(default_factory=list)
    actions_on_resolve: list[ActionTypes] = Field(default_factory=list)


class Automations(Kind):
    """Marked by a tag. In its fields, blocks and deployments are named, not given by their id."""

    title = "automation"

    async def read(self, names: set[str]) -> dict[str, Held]:
        async def page(offset: int) -> list[Automation]:
            return await self._client.read_automations(limit=PAGE, offset=offset)

        found = [each for each in await pages(page) if each.name in names or self._owner in each.tags]
        known = {id_: reference for reference, id_ in (await self._references()).items()} if found else {}
        return {
            each.name: Held(each.id, _with_ids(_dump(each), lambda id_: known.get(id_, id_)), self._owner in each.tags)
            for each in found
        }

    async def check(self, resources: list[Resource], all_of_them: list[Resource]) -> None:
        if not any(map(references, (each.fields for each in resources))):
            return
        coming = {
            _reference(KINDS_OF_NAMES[each.kind] + each.name) for each in all_of_them if each.kind in KINDS_OF_NAMES
        }
        known = coming | (await self._references()).keys()
        for resource in resources:
            for match in references(resource.fields):
                if match[0] not in known:
                    raise DeployError(_unknown(resource.name, match[0]))

    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        known = await self._references()

        def id_of(reference: str) -> str:
            if not REFERENCE.fullmatch(reference):  # an id that a label names
                return reference
            if reference not in known:
                raise DeployError(_unknown(name, reference))
            return known[reference]

        # What the file leaves open stays as the server has it
        whole = (held.fields if held else {}) | fields | {"name": name}
        automation = AutomationCore.model_validate(_with_ids(whole, id_of))
        if held:
            await self._client.update_automation(held.id, automation)
        else:
            await self._client.create_automation(automation)

    async def delete(self, held: Held) -> None:
        await self._client.delete_automation(held.id)

    async def _references(self) -> dict[str, str]:
        """The ids of what can be named by the way the file names it."""

        async def blocks(offset: int) -> list[BlockDocument]:
            return await self._client.read_block_documents(offset=offset, limit=PAGE, include_secrets=False)

        async def queues(offset: int) -> list[WorkQueue]:
            return await self._client.read_work_queues(limit=PAGE, offset=offset)

        flows = {flow.id: flow.name for flow in await pages(lambda at: self._client.read_flows(limit=PAGE, offset=at))}
        pools = await pages(lambda at: self._client.read_work_pools(PAGE, at))
        found = {f"blocks.{each.block_type.slug}.{each.name}": each for each in await pages(blocks) if each.block_type}
        found |= {f"work_pools.{each.name}": each for each in pools}
        found |= {f"work_queues.{each.work_pool_name}/{each.name}": each for each in await pages(queues)}
        found |= {
            f"deployments.{flows.get(each.flow_id)}/{each.name}": each for each in await deployments(self._client)
        }
        return {_reference(name): str(each.id) for name, each in found.items()}


# How the names of those that may come with a plan begin
KINDS_OF_NAMES = {
    SecretBlocks.title: f"blocks.{SecretBlocks.block.get_block_type_slug()}.",
    NotificationBlocks.title: f"blocks.{NotificationBlocks.block.get_block_type_slug()}.",
    Deployments.title: "deployments.",
    WorkPools.title: "work_pools.",
    WorkQueues.title: "work_queues.",
}


def _reference(name: str) -> str:
    return f"{{{{ prefect.{name} }}}}"


def _unknown(automation: str, reference: str) -> str:
    return f"the automation {automation!r} names {reference}, and the server has none: correct it"


def normal(written: dict[str, Any]) -> dict[str, Any]:
    """The automation that is written, with what Prefect adds to it and its references in one form.

    Raises pydantic's ValidationError.
    """
    references: dict[str, str] = {}

    def stand_in(text: str) -> str:
        if not isinstance(text, str) or not (match := REFERENCE.fullmatch(text)):
            return text
        name = f"{BEGINNINGS[match.lastgroup]}{match[match.lastgroup]}"
        id_ = str(uuid5(NAMESPACE_URL, name))
        references[id_] = _reference(name)
        return id_

    automation = Declared.model_validate(_with_ids(written, stand_in))
    fields = _with_ids(_dump(automation), lambda id_: references.get(id_, id_))
    if "enabled" not in written:  # paused by hand or not
        del fields["enabled"]
    return fields


def references(fields: dict[str, Any]) -> list[re.Match[str]]:
    """What an automation names by a reference."""
    found: list[re.Match[str]] = []

    def note(text: str) -> str:
        if match := REFERENCE.fullmatch(text):
            found.append(match)
        return text

    _with_ids(fields, note)
    return found


def refused(written: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """The places where something is named in a way that no server can take, each with the reason."""

    def look(value: Any, at: tuple[str | int, ...], field: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if isinstance(value, dict):
            for key, one in value.items():
                yield from look(one, (*at, key), field if field in LABELS else key)
        elif isinstance(value, list):
            for number, one in enumerate(value):
                yield from look(one, (*at, number), field)
        elif field in LABELS:
            for part in PARTS.findall(str(value)):
                if not REFERENCE.fullmatch(part):
                    yield at, f"{part} names nothing on another server: what is filled in here is {_forms(BEGINNINGS)}"
        elif field == "automation_id" and value is not None:
            yield at, "an automation cannot be named here: pause or resume what it works on instead"
        elif field in ID_FIELDS and value is not None:
            match = REFERENCE.fullmatch(str(value))
            if not match or match.lastgroup != ID_FIELDS[field]:
                yield (
                    at,
                    f"{value} is an id, or cannot be meant here: write {_forms([ID_FIELDS[field]])}",
                )

    return list(look(written, (), ""))


def _forms(groups: Iterable[str]) -> str:
    names = {"block": "<type>.<name>", "deployment": "<flow>/<name>", "pool": "<name>", "queue": "<pool>/<name>"}
    return ", ".join(_reference(f"{BEGINNINGS[group]}{names[group]}") for group in groups)


def _dump(automation: AutomationCore) -> dict[str, Any]:
    fields = {"description", "enabled", "tags", "trigger", "actions", "actions_on_trigger", "actions_on_resolve"}
    return _plain(automation.model_dump(include=fields), automation.model_dump(mode="json", include=fields))


def _plain(value: Any, json: Any) -> Any:
    """`json`, with what is a set in `value` in order."""
    if isinstance(value, dict):
        return {key: _plain(one, json[key]) for key, one in value.items()}
    if isinstance(value, set):
        return sorted(json)
    if isinstance(value, list):
        return [_plain(one, other) for one, other in zip(value, json, strict=True)]
    return json


def _with_ids(value: Any, change: Callable[[str], str]) -> Any:
    """A copy in which `change` has had every id, and every way to name one."""
    if isinstance(value, dict):
        return {
            key: change(str(one) if isinstance(one, UUID) else one)
            if key in ID_FIELDS and one is not None
            else _in_labels(one, change)
            if key in LABELS
            else _with_ids(one, change)
            for key, one in value.items()
        }
    return [_with_ids(one, change) for one in value] if isinstance(value, list) else value


def _in_labels(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _in_labels(one, change) for key, one in value.items()}
    if isinstance(value, list):
        return [_in_labels(one, change) for one in value]
    return IN_LABELS.sub(lambda match: change(match[0]), value) if isinstance(value, str) else value


def ignored(written: dict[str, Any]) -> list[tuple[str | int, ...]]:
    """The places of fields that Prefect would silently leave out, such as misspelt ones."""

    def lost(given: Any, kept: Any, at: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
        if isinstance(given, dict) and isinstance(kept, dict):
            found = [(*at, key) for key in given if key not in kept]
            return found + [place for key in given if key in kept for place in lost(given[key], kept[key], (*at, key))]
        if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
            return [place for number in range(len(given)) for place in lost(given[number], kept[number], (*at, number))]
        return []

    return lost(written, normal(written) | {"name": "", "enabled": True}, ())
