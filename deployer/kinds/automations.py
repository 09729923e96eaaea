"""Automations: what the server does by itself when something happens, or does not."""

import re
from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.client.schemas.objects import BlockDocument
from prefect.events.schemas.automations import Automation, AutomationCore

from deployer.errors import DeployError
from deployer.kinds.kind import PAGE, Held, Kind, deployments, pages

# How the file names what the server knows by an id
REFERENCE = re.compile(
    r"\{\{\s*prefect\.(?:blocks\.(?P<block>[\w-]+\.[\w-]+)|deployments\.(?P<deployment>[^{}]+?))\s*\}\}"
)
ID_FIELDS = {"block_document_id", "deployment_id"}


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

    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        known = await self._references()

        def id_of(reference: str) -> str:
            if reference not in known:
                raise DeployError(f"the automation {name!r} names {reference}, and the server has none: correct it")
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
        """The ids of blocks and deployments by the way the file names them."""

        async def blocks(offset: int) -> list[BlockDocument]:
            return await self._client.read_block_documents(offset=offset, limit=PAGE, include_secrets=False)

        flows = {flow.id: flow.name for flow in await pages(lambda at: self._client.read_flows(limit=PAGE, offset=at))}
        found = {
            f"{{{{ prefect.blocks.{each.block_type.slug}.{each.name} }}}}": str(each.id)
            for each in await pages(blocks)
            if each.block_type
        }
        return found | {
            f"{{{{ prefect.deployments.{flows.get(each.flow_id)}/{each.name} }}}}": str(each.id)
            for each in await deployments(self._client)
        }


def normal(written: dict[str, Any]) -> dict[str, Any]:
    """The automation that is written, with what Prefect adds to it and its references in one form.

    Raises pydantic's ValidationError.
    """
    references: dict[str, str] = {}

    def stand_in(text: str) -> str:
        if not isinstance(text, str) or not (match := REFERENCE.fullmatch(text)):
            return text
        name = f"blocks.{match['block']}" if match["block"] else f"deployments.{match['deployment']}"
        id_ = str(uuid5(NAMESPACE_URL, name))
        references[id_] = f"{{{{ prefect.{name} }}}}"
        return id_

    automation = AutomationCore.model_validate(_with_ids(written, stand_in))
    fields = _with_ids(_dump(automation), lambda id_: references.get(id_, id_))
    if "enabled" not in written:  # paused by hand or not
        del fields["enabled"]
    return fields


def references(fields: dict[str, Any]) -> list[re.Match[str]]:
    """The blocks and deployments that an automation names."""
    found: list[re.Match[str]] = []

    def note(text: str) -> str:
        if match := REFERENCE.fullmatch(text):
            found.append(match)
        return text

    _with_ids(fields, note)
    return found


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
    """A copy in which `change` has had every field that holds an id."""
    if isinstance(value, dict):
        return {
            key: change(str(one) if isinstance(one, UUID) else one)
            if key in ID_FIELDS and one is not None
            else _with_ids(one, change)
            for key, one in value.items()
        }
    return [_with_ids(one, change) for one in value] if isinstance(value, list) else value


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
