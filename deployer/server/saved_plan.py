"""A plan in a file, for a review: `apply` does what it shows, or refuses because the server has changed since."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployer.model.errors import DeployError
from deployer.model.manifest import Manifest
from deployer.server.plan import Plan
from deployer.server.report import change_as_json

VERSION = 1


@dataclass(frozen=True)
class SavedPlan:
    """A plan's manifest and pending changes as JSON; no value of a block is in it.

    `server` is the address of its API, `made` an ISO 8601 time. `with_inventory`: the plan has the blocks.
    """

    manifest: Manifest
    server: str
    prune: bool
    with_inventory: bool
    made: str
    changes: list[dict[str, Any]]

    @classmethod
    def of_plan(cls, plan: Plan, manifest: Manifest, server: str, *, prune: bool, with_inventory: bool) -> "SavedPlan":
        """The plan of `manifest`, which is without the values of blocks."""
        made = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        return cls(manifest, server, prune, with_inventory, made, _changes(plan))

    def write(self, file: Path) -> None:
        """Keep it as JSON."""
        file.write_text(json.dumps({"plan_version": VERSION} | asdict(self), indent=1), encoding="utf-8")

    def check_options(self, server: str, *, prune: bool, with_inventory: bool) -> None:
        """Raises a DeployError if it was made with other options than it is applied with."""
        if server != self.server:
            raise DeployError(f"the plan is for {self.server}, not for {server}: make one for this server")
        if prune and not self.prune:
            raise DeployError("the plan was made without --prune: leave it out, or make a plan with it")
        if with_inventory != self.with_inventory:
            mend = "give it to `apply` too" if self.with_inventory else "leave it out"
            raise DeployError(f"the plan was made with{'' if self.with_inventory else 'out'} --inventory: {mend}")

    def check_unchanged(self, plan: Plan) -> None:
        """Raises a DeployError if the present plan differs from this one."""
        saved, current = (
            {(change["kind"], change["name"]): change for change in changes}
            for changes in (self.changes, _changes(plan))
        )
        differing = [key for key in [*current, *saved] if current.get(key) != saved.get(key)]
        if differing:
            names = list(dict.fromkeys(f"{kind} {name}" for kind, name in differing))
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise DeployError(
                f"the server, or a value of the inventory, has changed since this plan was made ({self.made}): "
                f"{', '.join(names[:3])}{more}; nothing was changed, make a new plan and review it"
            )


def read_saved_plan(file: Path) -> SavedPlan | None:
    """The plan that `SavedPlan.write` kept; None for another file. Raises a DeployError for a plan it cannot read."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(kept, dict) or "plan_version" not in kept:
            return None
    except (OSError, ValueError):
        return None
    if kept.pop("plan_version") != VERSION:
        raise DeployError(f"{file} is a plan of another version of the platform: make a new plan")
    try:
        return SavedPlan(Manifest.from_json(kept.pop("manifest")), **kept)
    except (KeyError, TypeError) as error:
        raise DeployError(f"{file} is not a whole plan ({error}): make a new plan") from None


def _by_name(changes: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(change["kind"], change["name"]): change for change in changes}


def _changes(plan: Plan) -> list[dict[str, Any]]:
    """The pending changes as they are read back from JSON."""
    changes: list[dict[str, Any]] = json.loads(json.dumps([change_as_json(change) for change in plan.pending]))
    return changes
