"""Blocks whose values come from the vault. No value is ever printed, nor part of an error."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from prefect.blocks.core import Block
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from deployer.model.differences import Difference
from deployer.model.errors import DeployError
from deployer.model.manifest import Resource
from deployer.server.kinds.kind import PAGE, Comparison, Held, Kind, pages

HIDDEN = "(hidden)"
PLACEHOLDER = "CHANGE_ME"


class _Blocks(Kind):
    """Blocks of one type, which have a single field."""

    several_at_once = False  # on PostgreSQL one of them may be told that it exists already
    block: ClassVar[type[Block]]
    field: ClassVar[str]

    async def read(self, names: set[str]) -> dict[str, Held]:
        slug = self.block.get_block_type_slug()

        async def page(offset: int) -> list[BlockDocument]:
            return await self._client.read_block_documents_by_type(slug, offset, PAGE)

        try:
            found = await pages(page) if names else []
        except ObjectNotFound:  # a server that has no block of the type yet
            found = []
        return {each.name: Held(each.id, {"value": each.data.get(self.field)}) for each in found if each.name}

    def compare(self, resource: Resource, held: Held) -> Comparison:
        same = held.fields == resource.fields
        return Comparison(resource.fields, [] if same else [Difference("value", HIDDEN, HIDDEN)])

    async def prepare(self, resources: list[Resource]) -> None:
        # by the first of several at once, it could be registered twice
        await self.block.aregister_type_and_schema(client=self._client)

    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        try:
            with _apprise_unheard():
                block = self.block(**{self.field: fields["value"]})
            await block.asave(name, overwrite=True, client=self._client)
        except PrefectHTTPStatusError as error:  # the server repeats what it was sent
            said = f"the server answers {error.response.status_code}"
        except (ValueError, TypeError) as error:
            said = type(error).__name__
        else:
            return
        raise DeployError(f"the {self.title} {name!r} cannot be written: {said}; correct its value in the vault")


class SecretBlocks(_Blocks):
    """What flows read by `Secret.load(name)`."""

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


def unusable(address: str) -> bool:
    """Whether nothing can be sent there: the block of such an address would be saved all the same."""
    with _apprise_unheard() as errors:
        SlackWebhook(url=address)
    return bool(errors) or not address.strip() or PLACEHOLDER in address


@contextmanager
def _apprise_unheard() -> Iterator[list[str]]:
    """Apprise logs addresses that it cannot read, passwords and all: its errors are noted, and its log stays silent."""
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
