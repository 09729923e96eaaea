"""Secrets that parameters name must be declared, and must not stand there in plain text."""

from collections.abc import Iterable, Iterator
from typing import Any

from deployer.check.passwords import PLAIN_TEXT, password_places
from deployer.files.document import Document
from deployer.files.resources_yml import RESOURCES_YML, ResourcesFile
from deployer.flows.inspection import Flow
from deployer.model.errors import Location
from deployer.server.kinds.blocks import SecretBlocks

# How the JSON schema of a flow's parameter says that its value names a Secret block
SECRET_FORMAT = "secret-block"  # noqa: S105 - a format, not a secret


def check_secrets(
    document: Document, at: Location, parameters: dict[str, Any], flow: Flow, resources: ResourcesFile
) -> None:
    """Add a problem for secrets that are not declared, and a warning for passwords in plain text."""
    names = dict(_secret_names(flow.parameters, parameters, flow.parameters.get("definitions", {})))
    for where in password_places(parameters):
        if where not in names:
            document.add_warning((*at, *where), PLAIN_TEXT)
    for where, value in names.items():
        block = value.removeprefix("/").replace("/", "-")
        if block not in resources.names(SecretBlocks.title):
            reason = f"the secret {block!r} is not declared: add it to secrets in {RESOURCES_YML}"
            document.add_problem((*at, *where), reason)


def _secret_names(schema: Any, value: Any, definitions: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """The names of Secret blocks in a value, with their places."""
    if not isinstance(schema, dict):
        return
    if schema.get("format") == SECRET_FORMAT and isinstance(value, str) and value:
        yield (), value
    alternatives = [option for key in ("anyOf", "allOf", "oneOf") for option in schema.get(key, ())]
    for option in [*alternatives, definitions.get(schema.get("$ref", "").rpartition("/")[2])]:
        yield from _secret_names(option, value, definitions)
    for key, item_schema, item in _items(schema, value):
        yield from (((key, *where), name) for where, name in _secret_names(item_schema, item, definitions))


def _items(schema: dict[str, Any], value: Any) -> Iterable[tuple[str | int, Any, Any]]:
    """The items of a list or an object, with their keys and schemas."""
    if isinstance(value, list):
        return [(number, schema.get("items"), item) for number, item in enumerate(value)]
    if isinstance(value, dict):
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        return [(name, named.get(name, others), item) for name, item in value.items()]
    return ()
