"""What has to be done so that the server holds what a release wants."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from prefect.client.orchestration import PrefectClient

from deployer.model.differences import Difference
from deployer.model.manifest import State
from deployer.server.kinds import KINDS
from deployer.server.kinds.kind import Held, Kind


class Action(StrEnum):
    """What becomes of one thing."""

    CREATE = "create"
    UPDATE = "update"
    RELEASE = "release"  # only what each release has of its own changes: the path of its code
    DELETE = "delete"
    KEEP = "keep"  # no longer declared, and deletion was not asked for
    NOTHING = "nothing"


@dataclass(frozen=True)
class Change:
    """One thing, what becomes of it, and in which fields."""

    action: Action
    kind: str
    name: str
    differences: list[Difference] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    held: Held | None = None


@dataclass(frozen=True)
class Plan:
    """All changes, in the order of the kinds; those that change something are `pending`."""

    state: State
    changes: list[Change]

    @property
    def pending(self) -> list[Change]:
        """The changes that are to be made."""
        return [each for each in self.changes if each.action not in (Action.NOTHING, Action.KEEP)]


async def make(client: PrefectClient, state: State, prune: bool) -> Plan:
    """Compare with the server; nothing is written."""
    wanted = defaultdict(dict)
    for resource in state.resources:
        wanted[resource.kind][resource.name] = resource
    changes: list[Change] = []
    for title, of_kind in KINDS.items():
        kind: Kind = of_kind(client, state.owner)
        held = await kind.read(set(wanted[title]))
        for name, resource in wanted[title].items():
            if name not in held:
                changes.append(Change(Action.CREATE, title, name, fields=resource.fields))
                continue
            found = kind.compare(resource, held[name])
            action = Action.UPDATE if found.differences else Action.RELEASE if found.released else Action.NOTHING
            changes.append(Change(action, title, name, found.differences, found.fields, held[name]))
        await kind.check(list(wanted[title].values()), state.resources)
        gone = Action.DELETE if prune else Action.KEEP
        changes += [
            Change(gone, title, name, held=each)
            for name, each in held.items()
            if each.owned and name not in wanted[title]
        ]
    return Plan(state, changes)
