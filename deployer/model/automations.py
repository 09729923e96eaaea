"""Automations as `resources.yml` writes them, in the one form that is compared with the server's."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from prefect.events.actions import ActionTypes
from prefect.events.schemas.automations import AutomationCore
from pydantic import Field

from deployer.model.errors import Location
from deployer.model.references import PREFIXES, REFERENCE, reference, replace_ids


class AutomationDefinition(AutomationCore):
    """An automation as people may write it. Prefect's own also accepts actions that only a newer server knows."""

    actions: list[ActionTypes]  # type: ignore[assignment]
    actions_on_trigger: list[ActionTypes] = Field(default_factory=list)  # type: ignore[assignment]
    actions_on_resolve: list[ActionTypes] = Field(default_factory=list)  # type: ignore[assignment]


def normalize(written: dict[str, Any]) -> dict[str, Any]:
    """The written automation with Prefect's defaults and its references in one form.

    Raises pydantic's ValidationError.
    """
    reference_of_id: dict[str, str] = {}

    def stand_in(text: str) -> str:
        if not isinstance(text, str) or not (match := REFERENCE.fullmatch(text)) or not match.lastgroup:
            return text
        name = f"{PREFIXES[match.lastgroup]}{match[match.lastgroup]}"
        id_ = str(uuid5(NAMESPACE_URL, name))
        reference_of_id[id_] = reference(name)
        return id_

    automation = AutomationDefinition.model_validate(replace_ids(written, stand_in))
    fields: dict[str, Any] = replace_ids(automation_fields(automation), lambda id_: reference_of_id.get(id_, id_))
    if "enabled" not in written:  # people may pause it by hand
        del fields["enabled"]
    return fields


def automation_fields(automation: AutomationCore) -> dict[str, Any]:
    """The fields that a file may set, as JSON; sets are sorted lists."""
    names = {"description", "enabled", "tags", "trigger", "actions", "actions_on_trigger", "actions_on_resolve"}
    as_json = automation.model_dump(mode="json", include=names)
    fields: dict[str, Any] = _sort_sets(automation.model_dump(include=names), as_json)
    return fields


def _sort_sets(value: Any, json: Any) -> Any:
    """`json`, with those of its lists sorted that are sets in `value`."""
    if isinstance(value, dict):
        return {key: _sort_sets(item, json[key]) for key, item in value.items()}
    if isinstance(value, set):
        return sorted(json)
    if isinstance(value, list):
        return [_sort_sets(item, json_item) for item, json_item in zip(value, json, strict=True)]
    return json


def ignored_fields(written: dict[str, Any]) -> list[Location]:
    """The places of fields that Prefect would silently leave out, such as misspelt ones."""
    return _lost(written, normalize(written) | {"name": "", "enabled": True}, ())


def _lost(written: Any, kept: Any, at: Location) -> list[Location]:
    if isinstance(written, dict) and isinstance(kept, dict):
        lost: list[Location] = [(*at, key) for key in written if key not in kept]
        return lost + [place for key in written if key in kept for place in _lost(written[key], kept[key], (*at, key))]
    if isinstance(written, list) and isinstance(kept, list) and len(written) == len(kept):
        return [
            place for number in range(len(written)) for place in _lost(written[number], kept[number], (*at, number))
        ]
    return []
