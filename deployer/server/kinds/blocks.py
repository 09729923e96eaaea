"""Blocks whose values come from the vault. No value is ever printed, nor part of an error."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from prefect.blocks.core import Block
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from pydantic import SecretStr

from deployer.model.differences import Difference
from deployer.model.errors import DeployError
from deployer.model.manifest import Resource
from deployer.server.kinds.kind import Comparison, Kind, ServerResource
from deployer.server.kinds.queries import PAGE, all_pages

HIDDEN = "(hidden)"
PLACEHOLDER = "CHANGE_ME"
BLOCK_NAME_RULE = "use a-z, 0-9 and -"


def is_block_name(name: object) -> bool:
    """Whether a block of this platform can have the name."""
    return isinstance(name, str) and re.fullmatch(r"[a-z0-9-]+", name) is not None


class _Blocks(Kind):
    """Blocks of one type, which have a single field."""

    several_at_once = False  # on PostgreSQL the server may answer one of them that it exists already
    block: ClassVar[type[Block]]
    field: ClassVar[str]

    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        slug = self.block.get_block_type_slug()

        async def page(offset: int) -> list[BlockDocument]:
            return await self._client.read_block_documents_by_type(slug, offset, PAGE)

        try:
            blocks = await all_pages(page) if names else []
        except ObjectNotFound:  # the server has no block of the type yet
            blocks = []
        return {
            block.name: ServerResource(block.id, {"value": block.data.get(self.field)})
            for block in blocks
            if block.name
        }

    def compare(self, resource: Resource, current: ServerResource) -> Comparison:
        same = current.fields == resource.fields
        return Comparison(resource.fields, [] if same else [Difference("value", HIDDEN, HIDDEN)])

    async def prepare(self, resources: list[Resource]) -> None:
        # several writes at once could register it twice
        await self.block.aregister_type_and_schema(client=self._client)

    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        try:
            with _silent_apprise():
                block = self.block(**{self.field: fields["value"]})
            await block.asave(name, overwrite=True, client=self._client)
        except PrefectHTTPStatusError as error:  # the server's answer repeats the value
            reason = f"the server answers {error.response.status_code}"
        except (ValueError, TypeError) as error:
            reason = type(error).__name__
        else:
            return
        raise DeployError(f"the {self.title} {name!r} cannot be written: {reason}; correct its value in the vault")


class SecretBlocks(_Blocks):
    """Values that flows read by `Secret.load(name)`."""

    title = "secret"
    block = Secret
    field = "value"


class NotificationBlocks(_Blocks):
    """Addresses that automations write to. Prefect's Slack block hands any address on to Apprise, e-mail too:
    https://docs.prefect.io/v3/concepts/automations, https://appriseit.com/services/
    """

    title = "notification"
    block = SlackWebhook
    field = "url"


def is_unusable(address: str) -> bool:
    """Whether Apprise cannot send to the address. The server would save its block all the same."""
    with _silent_apprise() as errors:
        SlackWebhook(url=SecretStr(address))
    return bool(errors) or not address.strip() or PLACEHOLDER in address


@contextmanager
def _silent_apprise() -> Iterator[list[str]]:
    """Note Apprise's errors, and keep its log silent: it prints addresses that it cannot read, passwords included."""
    errors: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            errors.append(record.levelname)
        return False

    logger = logging.getLogger("apprise")
    logger.addFilter(note)
    try:
        yield errors
    finally:
        logger.removeFilter(note)
