"""References: how automations of `resources.yml` name what the server knows by an id.

A reference is `{{ prefect.deployments.<flow>/<name> }}`, or one of `blocks.<type>.<name>`, `work_pools.<name>` and
`work_queues.<pool>/<name>`. It stands in a field that holds an id, or anywhere in the value of an event's label.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from deployer.model.errors import Location

REFERENCE = re.compile(
    r"\{\{\s*prefect\.(?:blocks\.(?P<block>[\w-]+\.[\w-]+)|deployments\.(?P<deployment>[^{}]+?)"
    r"|work_pools\.(?P<pool>[^{}]+?)|work_queues\.(?P<queue>[^{}]+?))\s*\}\}"
)
# The groups of REFERENCE, with the beginning and the form of their names
PREFIXES = {
    "block": "blocks.",
    "deployment": "deployments.",
    "pool": "work_pools.",
    "queue": "work_queues.",
}
_FORMS = {"block": "<type>.<name>", "deployment": "<flow>/<name>", "pool": "<name>", "queue": "<pool>/<name>"}
# The fields that hold an id, and the group of the references that may stand there
ID_FIELDS = {
    "block_document_id": "block",
    "deployment_id": "deployment",
    "work_pool_id": "pool",
    "work_queue_id": "queue",
}
# Labels of events, whose values may hold an id anywhere: prefect.deployment.{{ prefect.deployments.flow/name }}
LABEL_FIELDS = {"match", "match_related"}
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IN_LABELS = re.compile(rf"\{{\{{[^{{}}]*\}}\}}|{_UUID}")
_LABEL_PARTS = re.compile(rf"\{{\{{[^{{}}]*\}}\}}|prefect\.(?:block-document|deployment|work-pool|work-queue)\.{_UUID}")


def reference(name: str) -> str:
    """The reference to a name with its prefix, such as `deployments.<flow>/<name>`."""
    return f"{{{{ prefect.{name} }}}}"


def references_in(fields: dict[str, Any]) -> list[re.Match[str]]:
    """The references in an automation's fields, as matches of REFERENCE."""
    matches: list[re.Match[str]] = []

    def note(text: str) -> str:
        if match := REFERENCE.fullmatch(text):
            matches.append(match)
        return text

    replace_ids(fields, note)
    return matches


def replace_ids(value: Any, replace: Callable[[str], str]) -> Any:
    """A copy of the fields, with `replace` applied to every id and every reference."""
    if isinstance(value, dict):
        return {
            key: replace(str(item) if isinstance(item, UUID) else item)
            if key in ID_FIELDS and item is not None
            else _replace_in_labels(item, replace)
            if key in LABEL_FIELDS
            else replace_ids(item, replace)
            for key, item in value.items()
        }
    return [replace_ids(item, replace) for item in value] if isinstance(value, list) else value


def _replace_in_labels(value: Any, replace: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _replace_in_labels(item, replace) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_in_labels(item, replace) for item in value]
    return _IN_LABELS.sub(lambda match: replace(match[0]), value) if isinstance(value, str) else value


def unsupported_references(written: dict[str, Any]) -> list[tuple[Location, str]]:
    """The places of ids, and of references that cannot stand where they do, each with the reason."""
    return list(_unsupported(written, (), ""))


def _unsupported(value: Any, at: Location, field: str) -> Iterator[tuple[Location, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _unsupported(item, (*at, key), field if field in LABEL_FIELDS else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unsupported(item, (*at, number), field)
    elif field in LABEL_FIELDS:
        for part in _LABEL_PARTS.findall(str(value)):
            if not REFERENCE.fullmatch(part):
                yield at, f"{part} cannot be resolved on another server: write one of {_forms(PREFIXES)}"
    elif field == "automation_id" and value is not None:
        yield at, "an automation cannot be named here: pause or resume what it works on instead"
    elif field in ID_FIELDS and value is not None:
        match = REFERENCE.fullmatch(str(value))
        if not match or match.lastgroup != ID_FIELDS[field]:
            yield at, f"{value} is an id, or another kind of reference: write {_forms([ID_FIELDS[field]])}"


def _forms(groups: Iterable[str]) -> str:
    return ", ".join(reference(f"{PREFIXES[group]}{_FORMS[group]}") for group in groups)
