"""`flows/resources.yml`: the server's resources besides the deployments, in Prefect's own words."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from prefect.client.schemas.actions import (
    ConcurrencyLimitCreate,
    GlobalConcurrencyLimitCreate,
    VariableCreate,
    WorkPoolCreate,
    WorkQueueCreate,
)
from prefect.events.schemas.automations import AutomationCore
from prefect.workers.process import ProcessWorker
from pydantic import BaseModel, ValidationError

from deployer.files.document import Document
from deployer.files.fields import add_validation_errors, check_known, lacks_text
from deployer.model.automations import ignored_fields, normalize
from deployer.model.errors import Location
from deployer.model.manifest import Resource
from deployer.model.references import references_in, unsupported_references
from deployer.server.kinds.automations import Automations
from deployer.server.kinds.blocks import BLOCK_NAME_RULE, NotificationBlocks, SecretBlocks, is_block_name
from deployer.server.kinds.limits import GlobalConcurrencyLimits, TagConcurrencyLimits
from deployer.server.kinds.variables import Variables
from deployer.server.kinds.work_pools import WorkPools, WorkQueues

RESOURCES_YML = "resources.yml"
# Sections with the names of blocks, whose values are in the vault
BLOCK_SECTIONS = {"secrets": SecretBlocks.title, "notifications": NotificationBlocks.title}


@dataclass
class ResourcesFile:
    """The resources that the file declares; `blocks` are the names of secrets and notifications by their kind."""

    document: Document
    resources: dict[Location, Resource] = field(default_factory=dict)
    blocks: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in BLOCK_SECTIONS.values()})
    # by kind; also those of resources with problems
    _names: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def names(self, kind: str) -> set[str]:
        """The names that are declared of a kind."""
        return self._names[kind] | set(self.blocks.get(kind, ()))

    def add_name(self, kind: str, name: str) -> None:
        """Note a name, whether or not its resource can be added."""
        self._names[kind].add(name)

    def add(self, at: Location, resource: Resource) -> None:
        """Add a resource, or a problem if its name is declared already."""
        for other_at, other in self.resources.items():
            if (other.kind, other.name) == (resource.kind, resource.name):
                stands = f"the {other.kind} {other.name!r} stands in line {self.document.line(other_at)} already"
                self.document.add_problem(at, f"{stands}: remove one of them")
                return
        self.resources[at] = resource


@dataclass(frozen=True)
class Section:
    """How the entries of a section are read. `reset` are fields that go back to their default when left out."""

    kind: str
    model: type[BaseModel]
    reset: tuple[str, ...] = ()
    name_field: str = "name"
    # keys with resources of their own
    nested: ClassVar[tuple[str, ...]] = ()

    def read(self, file: ResourcesFile, at: Location, written: Any) -> None:
        """Add the entry's resource to the file, or its problems."""
        if not isinstance(written, dict):
            file.document.add_problem(at, "must be a mapping")
            return
        check_known(file.document, at, written, self.model, self.nested)
        if lacks_text(file.document, at, written, self.name_field):
            return
        file.add_name(self.kind, self.resource_name(written))
        try:
            self.add(file, at, written)
        except ValidationError as error:
            add_validation_errors(file.document, at, error)

    def add(self, file: ResourcesFile, at: Location, written: dict[str, Any]) -> None:
        """Add the entry's resource. Raises pydantic's ValidationError."""
        file.add(at, Resource(self.kind, self.resource_name(written), self.fields(written)))

    def resource_name(self, written: dict[str, Any]) -> str:
        """The resource's name on the server."""
        return str(written[self.name_field])

    def fields(self, written: dict[str, Any]) -> dict[str, Any]:
        """The fields that are written, and those that go back to their default, as JSON."""
        names = {*written, *self.reset} - {self.name_field, *self.nested}
        model = self.model.model_validate({key: value for key, value in written.items() if key not in self.nested})
        return model.model_dump(mode="json", include=names)


class VariableSection(Section):
    """Variables, whose tags the server keeps as a list."""

    def fields(self, written: dict[str, Any]) -> dict[str, Any]:
        fields = super().fields(written)
        return fields | {"tags": fields["tags"] or []}


class AutomationSection(Section):
    """Automations, which name other resources by references."""

    def add(self, file: ResourcesFile, at: Location, written: dict[str, Any]) -> None:
        unsupported = unsupported_references(written)
        for place, reason in unsupported:
            file.document.add_problem((*at, *place), reason)
        if not unsupported:
            super().add(file, at, written)
            for place in ignored_fields(written):
                file.document.add_problem((*at, *place), "is not a field here: Prefect would leave it out")

    def fields(self, written: dict[str, Any]) -> dict[str, Any]:
        return normalize(written)


@dataclass(frozen=True)
class WorkQueueSection(Section):
    """The queues of a pool."""

    pool: str = ""

    def resource_name(self, written: dict[str, Any]) -> str:
        return f"{self.pool}/{written['name']}"

    def fields(self, written: dict[str, Any]) -> dict[str, Any]:
        fields = super().fields(written)
        # unlike a pool's, it cannot be null
        return fields | {"description": fields["description"] or ""}


class WorkPoolSection(Section):
    """Work pools with their queues."""

    nested = ("work_queues",)

    def add(self, file: ResourcesFile, at: Location, written: dict[str, Any]) -> None:
        if written.get("type") not in (None, ProcessWorker.type):
            reason = f"workers here serve {ProcessWorker.type} pools only: remove it"
            file.document.add_problem((*at, "type"), reason)
        super().add(file, at, written)
        queues = written.get("work_queues") or []
        if not isinstance(queues, list):
            file.document.add_problem((*at, "work_queues"), "must be a list")
            return
        section = WorkQueueSection(
            WorkQueues.title, WorkQueueCreate, ("description", "concurrency_limit"), pool=self.resource_name(written)
        )
        for number, queue in enumerate(queues):
            section.read(file, (*at, "work_queues", number), queue)

    def fields(self, written: dict[str, Any]) -> dict[str, Any]:
        return super().fields(written) | {"type": ProcessWorker.type}


SECTIONS: dict[str, Section] = {
    "work_pools": WorkPoolSection(WorkPools.title, WorkPoolCreate, ("description", "concurrency_limit")),
    "global_concurrency_limits": Section(
        GlobalConcurrencyLimits.title, GlobalConcurrencyLimitCreate, ("active", "slot_decay_per_second")
    ),
    "tag_concurrency_limits": Section(TagConcurrencyLimits.title, ConcurrencyLimitCreate, name_field="tag"),
    "variables": VariableSection(Variables.title, VariableCreate, ("value", "tags")),
    "automations": AutomationSection(Automations.title, AutomationCore),
}


def read_resources(flows: Path) -> ResourcesFile:
    """The resources of the file in `flows`, if it exists; their problems are on its document."""
    path = flows / RESOURCES_YML
    shown = f"{flows.name}/{RESOURCES_YML}"
    document = Document(path, shown) if path.exists() else Document.empty(shown)
    file = ResourcesFile(document)
    data = document.data
    if document.problems or data is None:
        return file
    if not isinstance(data, dict):
        document.add_problem((), f"must be a mapping of {', '.join([*SECTIONS, *BLOCK_SECTIONS])}")
        return file
    for name, entries in data.items():
        if name not in SECTIONS and name not in BLOCK_SECTIONS:
            sections = ", ".join([*SECTIONS, *BLOCK_SECTIONS])
            document.add_problem((name,), f"is not known here: the sections are {sections}")
        elif not isinstance(entries, list):
            document.add_problem((name,), "must be a list")
        elif name in SECTIONS:
            for number, entry in enumerate(entries):
                SECTIONS[name].read(file, (name, number), entry)
        else:
            for number, entry in enumerate(entries):
                _read_block_name(file, (name, number), BLOCK_SECTIONS[name], entry)
    _check_notifications(file)
    return file


def _read_block_name(file: ResourcesFile, at: Location, kind: str, written: Any) -> None:
    if is_block_name(written):
        file.blocks[kind].append(written)
    else:
        file.document.add_problem(at, f"{written!r} cannot name a block: {BLOCK_NAME_RULE}")


def _check_notifications(file: ResourcesFile) -> None:
    """Notifications that an automation names must be declared."""
    for at, resource in file.resources.items():
        if resource.kind != Automations.title:
            continue
        for match in references_in(resource.fields):
            type_, _, name = (match["block"] or "").partition(".")
            if type_ == "slack-webhook" and name not in file.blocks[NotificationBlocks.title]:
                file.document.add_problem(at, f"{match[0]} is not declared: add {name!r} to `notifications`")
