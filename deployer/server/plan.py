"""The changes by which the server comes to hold a manifest."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from prefect.client.orchestration import PrefectClient

from deployer.model.differences import Difference
from deployer.model.manifest import Manifest, Resource
from deployer.server.kinds import KINDS
from deployer.server.kinds.kind import ServerResource


class Action(StrEnum):
    """The action on one resource."""

    CREATE = "create"
    UPDATE = "update"
    RELEASE = "release"  # only fields that differ in every release change, such as the path of the code
    DELETE = "delete"
    KEEP = "keep"  # no longer declared, and deletion was not asked for
    NOTHING = "nothing"


@dataclass(frozen=True)
class Change:
    """The action on one resource, the fields that differ, and what is written."""

    action: Action
    kind: str
    name: str
    differences: list[Difference] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    current: ServerResource | None = None


@dataclass(frozen=True)
class Plan:
    """All changes, in the order of the kinds; `pending` are those with something to do."""

    manifest: Manifest
    changes: list[Change]

    @property
    def pending(self) -> list[Change]:
        """The changes that `apply` makes."""
        return [change for change in self.changes if change.action not in (Action.NOTHING, Action.KEEP)]


async def make_plan(client: PrefectClient, manifest: Manifest, prune: bool) -> Plan:
    """Compare the manifest with the server; writes nothing. Raises a DeployError for changes that cannot be made.

    With `prune`, owned resources that the manifest lacks are deleted.
    """
    desired: dict[str, dict[str, Resource]] = defaultdict(dict)
    for resource in manifest.resources:
        desired[resource.kind][resource.name] = resource
    changes: list[Change] = []
    for title, kind_class in KINDS.items():
        kind = kind_class(client, manifest.owner)
        current = await kind.read(set(desired[title]))
        for name, resource in desired[title].items():
            if name not in current:
                changes.append(Change(Action.CREATE, title, name, fields=resource.fields))
                continue
            comparison = kind.compare(resource, current[name])
            action = (
                Action.UPDATE
                if comparison.differences
                else Action.RELEASE
                if comparison.release_differs
                else Action.NOTHING
            )
            changes.append(Change(action, title, name, comparison.differences, comparison.fields, current[name]))
        await kind.check(list(desired[title].values()), manifest.resources)
        undeclared_action = Action.DELETE if prune else Action.KEEP
        changes += [
            Change(undeclared_action, title, name, current=server_resource)
            for name, server_resource in current.items()
            if server_resource.owned and name not in desired[title]
        ]
    return Plan(manifest, changes)
