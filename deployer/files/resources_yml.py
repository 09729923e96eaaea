"""`flows/resources.yml`: what the server holds besides the deployments, in Prefect's own words."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

from deployer.files.document import Document, Location
from deployer.files.fields import known, missing, refuse
from deployer.model.manifest import Resource
from deployer.server.kinds.automations import Automations, ignored, normal, references, refused
from deployer.server.kinds.blocks import NotificationBlocks, SecretBlocks
from deployer.server.kinds.limits import GlobalConcurrencyLimits, TagConcurrencyLimits
from deployer.server.kinds.variables import Variables
from deployer.server.kinds.work_pools import WorkPools, WorkQueues

FILE = "resources.yml"
# Names of blocks, which the vault gives their values
NAMES = {"secrets": SecretBlocks.title, "notifications": NotificationBlocks.title}


@dataclass
class Resources:
    """What the file declares; `blocks` are the names of secrets and notifications by their kind."""

    document: Document
    resources: dict[Location, Resource] = field(default_factory=dict)
    blocks: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in NAMES.values()})
    # by kind, also of those that are wrong otherwise
    written: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def names(self, kind: str) -> set[str]:
        """What is declared of a kind."""
        return self.written[kind] | set(self.blocks.get(kind, ()))


def declared(flows: Path) -> Resources:
    """What the file in `flows` declares, if there is one; what is wrong is noted on its document."""
    path = flows / FILE
    document = Document(path, f"{flows.name}/{FILE}") if path.exists() else Document.empty(f"{flows.name}/{FILE}")
    found = Resources(document)
    data = document.data
    if document.problems or data is None:
        return found
    if not isinstance(data, dict):
        document.refuse((), f"must be a mapping of {', '.join([*SECTIONS, *NAMES])}")
        return found
    for section, written in data.items():
        if section not in SECTIONS and section not in NAMES:
            document.refuse((section,), f"is not known here: the sections are {', '.join([*SECTIONS, *NAMES])}")
        elif not isinstance(written, list):
            document.refuse((section,), "must be a list")
        else:
            for number, one in enumerate(written):
                _entry(found, (section, number), one)
    _references(found)
    return found


def _entry(found: Resources, at: Location, written: Any) -> None:
    section, document = at[0], found.document
    if section in NAMES:
        if not isinstance(written, str) or not written or set(written) - set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            document.refuse(at, f"{written!r} cannot name a block: use a-z, 0-9 and -")
        else:
            found.blocks[NAMES[section]].append(written)
        return
    if not isinstance(written, dict):
        document.refuse(at, "must be a mapping")
        return
    kind, model, name, fields = SECTIONS[section]
    known(document, at, written, model, ["work_queues"] if section == "work_pools" else [])
    if missing(document, at, written, name):
        return
    if section == "work_pools" and written.get("type") not in (None, ProcessWorker.type):
        document.refuse((*at, "type"), f"workers here serve {ProcessWorker.type} pools only: remove it")
    found.written[kind].add(written[name])
    if wrong := refused(written) if section == "automations" else []:
        for place, reason in wrong:
            document.refuse((*at, *place), reason)
        return
    try:
        _add(found, at, Resource(kind, written[name], fields(written)))
        for place in ignored(written) if section == "automations" else ():
            document.refuse((*at, *place), "is not a field here: Prefect would leave it out")
    except ValidationError as error:
        refuse(document, at, error)
        return
    if section == "work_pools":
        _queues(found, at, written)


def _queues(found: Resources, at: Location, pool: dict[str, Any]) -> None:
    queues = pool.get("work_queues") or []
    if not isinstance(queues, list):
        found.document.refuse((*at, "work_queues"), "must be a list")
        return
    for number, written in enumerate(queues):
        where = (*at, "work_queues", number)
        if not isinstance(written, dict):
            found.document.refuse(where, "must be a mapping")
            continue
        known(found.document, where, written, WorkQueueCreate)
        if missing(found.document, where, written, "name"):
            continue
        found.written[WorkQueues.title].add(f"{pool['name']}/{written['name']}")
        try:
            fields = _given(WorkQueueCreate, "description", "concurrency_limit")(written)
            # unlike a pool's, it cannot be null
            fields["description"] = fields["description"] or ""
            _add(found, where, Resource(WorkQueues.title, f"{pool['name']}/{written['name']}", fields))
        except ValidationError as error:
            refuse(found.document, where, error)


def _add(found: Resources, at: Location, resource: Resource) -> None:
    for other, one in found.resources.items():
        if (one.kind, one.name) == (resource.kind, resource.name):
            line = found.document.line(other)
            found.document.refuse(at, f"the {one.kind} {one.name!r} stands in line {line} already: remove one of them")
            return
    found.resources[at] = resource


def _references(found: Resources) -> None:
    """Blocks that an automation names must be declared."""
    for at, each in found.resources.items():
        if each.kind != Automations.title:
            continue
        for reference in references(each.fields):
            type_, _, name = (reference["block"] or "").partition(".")
            if type_ == "slack-webhook" and name not in found.blocks[NotificationBlocks.title]:
                found.document.refuse(at, f"{reference[0]} is not declared: add {name!r} to `notifications`")


Fields = Callable[[dict[str, Any]], dict[str, Any]]


def _given(model: type[BaseModel], *always: str) -> Fields:
    """Takes the fields that are written, and `always` those that go back to their default when they are not."""

    def fields(written: dict[str, Any]) -> dict[str, Any]:
        kept = {*written, *always} - {"name", "tag", "work_queues"}
        plain = {key: value for key, value in written.items() if key != "work_queues"}
        return model.model_validate(plain).model_dump(mode="json", include=kept)

    return fields


def _pool(written: dict[str, Any]) -> dict[str, Any]:
    return _given(WorkPoolCreate, "description", "concurrency_limit")(written) | {"type": ProcessWorker.type}


def _variable(written: dict[str, Any]) -> dict[str, Any]:
    fields = _given(VariableCreate, "value", "tags")(written)
    return fields | {"tags": fields["tags"] or []}


# What each section holds: the kind, Prefect's model, the field that names it, and how the others are taken
SECTIONS: dict[str, tuple[str, type[BaseModel], str, Fields]] = {
    "work_pools": (WorkPools.title, WorkPoolCreate, "name", _pool),
    "global_concurrency_limits": (
        GlobalConcurrencyLimits.title,
        GlobalConcurrencyLimitCreate,
        "name",
        _given(GlobalConcurrencyLimitCreate, "active", "slot_decay_per_second"),
    ),
    "tag_concurrency_limits": (
        TagConcurrencyLimits.title,
        ConcurrencyLimitCreate,
        "tag",
        _given(ConcurrencyLimitCreate),
    ),
    "variables": (Variables.title, VariableCreate, "name", _variable),
    "automations": (Automations.title, AutomationCore, "name", normal),
}
