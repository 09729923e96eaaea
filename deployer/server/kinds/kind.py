"""What all kinds have in common: how they are read, compared and written."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from prefect.client.orchestration import PrefectClient

from deployer.model.differences import Difference, differences
from deployer.model.manifest import Resource


@dataclass(frozen=True)
class ServerResource:
    """A resource as the server holds it now. `owned`: it carries this repository's mark for this target."""

    id: Any
    fields: dict[str, Any]
    owned: bool = False


@dataclass(frozen=True)
class Comparison:
    """The fields to write, and their differences from the server's.

    `release_differs`: so do those that differ in every release.
    """

    fields: dict[str, Any]
    differences: list[Difference]
    release_differs: bool = False


class Kind(ABC):
    """A kind of resources on the server; `owner` marks those that this repository registers for a target."""

    title: ClassVar[str]
    # the server takes several writes of its kind at the same time
    several_at_once: ClassVar[bool] = True

    def __init__(self, client: PrefectClient, owner: str) -> None:
        self._client = client
        self._owner = owner

    @abstractmethod
    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        """The server's resources by name: at least those of `names`, and all that are owned."""

    def compare(self, resource: Resource, current: ServerResource) -> Comparison:
        """How the server's resource becomes that of the manifest. Raises a DeployError if it cannot."""
        return Comparison(resource.fields, differences(current.fields, resource.fields))

    async def check(self, resources: list[Resource], all_resources: list[Resource]) -> None:  # noqa: B027 - optional
        """Called by every plan with the kind's resources, and all. Raises a DeployError if they cannot be written."""

    async def prepare(self, resources: list[Resource]) -> None:  # noqa: B027 - optional
        """Called once before these are written at the same time."""

    @abstractmethod
    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        """Create the resource, or change the current one."""

    async def delete(self, current: ServerResource) -> None:
        """Delete an owned resource. Kinds without a mark own none, so nothing asks them to."""
        raise NotImplementedError
