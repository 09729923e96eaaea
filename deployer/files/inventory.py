"""What the inventory of an environment knows: the pools that workers serve, and the values of blocks."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deployer.files.resources_yml import FILE
from deployer.model.errors import DeployError
from deployer.model.manifest import Resource, State
from deployer.server.kinds.blocks import NotificationBlocks, SecretBlocks, unusable
from deployer.server.kinds.deployments import Deployments
from deployer.server.kinds.work_pools import WorkPools


@dataclass(frozen=True)
class Inventory:
    """`blocks` holds the values by kind and name; nothing of it is ever shown."""

    work_pools: list[str] = field(default_factory=list)
    blocks: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def check_pools(self, state: State) -> None:
        """Raises a DeployError if no worker serves the pool of a deployment."""
        for deployment in (resource for resource in state.resources if resource.kind == Deployments.title):
            if (pool := deployment.fields["work_pool_name"]) not in self.work_pools:
                raise DeployError(
                    f"no worker of this environment serves the pool {pool!r} of {deployment.name}: served are "
                    f"{', '.join(sorted(self.work_pools)) or 'none'}; add it to prefect_worker_pools of the inventory"
                )

    def added_to(self, state: State) -> State:
        """The state, the pools that workers serve, and the blocks with their values, of the kinds that it has.

        Raises a DeployError if a block that it needs has no value, or if an address is none.
        """
        for kind, names in state.blocks.items():
            for name in names:
                if name not in self.blocks.get(kind, {}):
                    where = "prefect_flow_secrets" if kind == SecretBlocks.title else "prefect_notifications"
                    raise DeployError(
                        f"the {kind} {name!r} is declared in {FILE} and has no value in this environment: "
                        f"add it to {where} of the inventory, or take it out of {FILE} if no flow of yours needs it"
                    )
        for name, address in self.blocks.get(NotificationBlocks.title, {}).items():
            if NotificationBlocks.title in state.blocks and unusable(address):
                raise DeployError(
                    f"the notification {name!r} is no address that Apprise can write to, "
                    "see https://appriseit.com/services/: correct it in prefect_notifications of the inventory"
                )
        blocks = [
            Resource(kind, name, {"value": value})
            for kind, of in self.blocks.items()
            for name, value in of.items()
            if kind in state.blocks
        ]
        # Without blocks, the state is of a target that registers deployments only
        pools = WorkPools.undeclared(self.work_pools, state.resources) if state.blocks else []
        return replace(state, resources=[*blocks, *pools, *state.resources])


def read(file: str | None) -> Inventory | None:
    """`platform_inventory`, an object with work_pools, secrets and notifications, as Ansible's debug prints it as JSON.

    Raises DeployError, also for the error that Ansible prints in its place when a variable is undefined.
    """
    if file is None:
        return None
    try:
        message = json.loads(Path(file).read_text(encoding="utf-8"))["msg"]
        if isinstance(message, str):
            raise DeployError(_unreadable(message))
        given = message["platform_inventory"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        # a JSONDecodeError would show the text, which holds secrets
        said = error.strerror if isinstance(error, OSError) else "it is not JSON with a platform_inventory"
        raise DeployError(f"the inventory {file} cannot be read: {said}") from None
    if not isinstance(given, dict) or set(given) - {"work_pools", "secrets", "notifications"}:
        raise DeployError(f"the inventory {file} must be an object with work_pools, secrets and notifications")
    secrets, notifications = given.get("secrets") or {}, given.get("notifications") or {}
    _named(secrets, "secret", str | dict)
    _named(notifications, "notification", str)
    return Inventory(
        given.get("work_pools") or [], {SecretBlocks.title: secrets, NotificationBlocks.title: notifications}
    )


def _unreadable(message: str) -> str:
    # Only the names of variables are shown: other errors of Ansible may quote a value.
    undefined = re.search(r"'\w+' is undefined", message)
    reason = undefined[0] if undefined else "a template of it fails"
    return f"the inventory cannot be read: {reason}: correct it in group_vars/all, what is secret in the vault"


def _named(blocks: Any, kind: str, types: Any) -> None:
    if not isinstance(blocks, dict):
        raise DeployError(f"the {kind}s of the inventory must be an object of names and values")
    for name, value in blocks.items():
        if not name or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            raise DeployError(f"{name!r} cannot name a {kind}: use a-z, 0-9 and -")
        if not isinstance(value, types) or not value:
            what = "an address" if types is str else "a text or an object"
            raise DeployError(f"the value of the {kind} {name!r} must be {what}, and not empty")
