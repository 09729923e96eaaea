"""What all kinds have in common: how they are read, compared and written."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort

from deployer.model.differences import Difference, differences
from deployer.model.errors import DeployError
from deployer.model.manifest import Resource

# What the server gives at once at most
PAGE = 200


@dataclass(frozen=True)
class Held:
    """What the server holds under a name. `owned`: it carries this repository's mark for this target."""

    id: Any
    fields: dict[str, Any]
    owned: bool = False


@dataclass(frozen=True)
class Comparison:
    """What is to be written, and in what it differs. `released`: it differs in what each release has of its own."""

    fields: dict[str, Any]
    differences: list[Difference]
    released: bool = False


class Kind(ABC):
    """A kind of things on the server; `owner` marks those that this repository registers for a target."""

    title: ClassVar[str]
    # the server takes several writes of its kind at the same time
    several_at_once: ClassVar[bool] = True

    def __init__(self, client: PrefectClient, owner: str) -> None:
        self._client = client
        self._owner = owner

    @abstractmethod
    async def read(self, names: set[str]) -> dict[str, Held]:
        """What the server holds, by name: at least those of `names`, and all that are owned."""

    def compare(self, resource: Resource, held: Held) -> Comparison:
        """How what is held becomes what is wanted."""
        return Comparison(resource.fields, differences(held.fields, resource.fields))

    async def check(self, resources: list[Resource], all_of_them: list[Resource]) -> None:  # noqa: B027 - most need none
        """Called by each plan with those of the kind, and all: raises a DeployError for what could not be written."""

    async def prepare(self, resources: list[Resource]) -> None:  # noqa: B027 - most need none
        """Called once before these are written at the same time."""

    @abstractmethod
    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        """Create it, or change what is held."""

    async def delete(self, held: Held) -> None:
        """Delete what is owned. Kinds that cannot carry a mark own nothing, so none of theirs is ever asked for."""
        raise NotImplementedError


async def pages(fetch: Callable[[int], Awaitable[list[Any]]]) -> list[Any]:
    """Everything that `fetch(offset)` gives in pages of at most PAGE.

    Raises a DeployError if something came twice: then something else, which was between two pages, did not come at all.
    """
    found: list[Any] = []
    while True:
        page = await fetch(len(found))
        found += page
        if len(page) < PAGE:
            break
    if len({each.id for each in found}) < len(found):
        raise DeployError("what the server holds changed while it was read: run it again")
    return found


async def deployments(client: PrefectClient) -> list[DeploymentResponse]:
    """All of them. Not by name, the default: several may have the same, whose order differs from page to page."""
    return await pages(
        lambda offset: client.read_deployments(limit=PAGE, offset=offset, sort=DeploymentSort.CREATED_DESC)
    )
