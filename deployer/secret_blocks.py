"""Prefect Secret blocks: where flows read their credentials. No value is ever printed, nor part of an error."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from prefect.blocks.system import Secret
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound

from deployer.errors import DeployError


def parse(text: str) -> dict[str, Any]:
    """The blocks that a JSON object of names and values asks for."""
    try:
        blocks = json.loads(text)
    except json.JSONDecodeError as error:
        raise DeployError(f"standard input is not JSON: {error.msg} in line {error.lineno}") from None
    if not isinstance(blocks, dict):
        raise DeployError('standard input must be a JSON object: {"block-name": "value"}')
    for name, value in blocks.items():
        if not name or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            raise DeployError(f"{name!r} cannot name a block: use a-z, 0-9 and -")
        if not isinstance(value, str | dict) or not value:
            raise DeployError(f"the value of {name!r} must be a string or an object, and not empty")
    return blocks


async def write(client: PrefectClient, blocks: dict[str, Any]) -> AsyncIterator[tuple[str, str]]:
    """Write the blocks that differ from the server's; yields what was done, and to which block."""
    for name, value in blocks.items():
        try:
            action = await _write_one(client, name, value)
        except httpx.HTTPError:
            raise
        except Exception as error:  # its text may hold the value
            raise DeployError(f"the block {name!r} cannot be written: {type(error).__name__}") from None
        yield action, name


async def _write_one(client: PrefectClient, name: str, value: Any) -> str:
    try:
        held = await client.read_block_document_by_name(name, "secret", include_secrets=True)
    except ObjectNotFound:
        action = "created"
    else:
        if held.data.get("value") == value:
            return "unchanged"
        action = "updated"
    await Secret(value=value).save(name, overwrite=True, client=client)
    return action
