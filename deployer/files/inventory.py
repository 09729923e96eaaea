"""The facts of an environment's inventory: the pools that workers serve, and the values of blocks."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import UnionType
from typing import Any

from deployer.files.resources_yml import RESOURCES_YML
from deployer.model.errors import DeployError
from deployer.model.manifest import Manifest, Resource
from deployer.server.kinds.blocks import (
    BLOCK_NAME_RULE,
    NotificationBlocks,
    SecretBlocks,
    is_block_name,
    is_unusable,
)
from deployer.server.kinds.deployments import Deployments
from deployer.server.kinds.work_pools import WorkPools


@dataclass(frozen=True)
class Inventory:
    """`blocks` holds the values by kind and name; they are never shown."""

    work_pools: list[str] = field(default_factory=list)
    blocks: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def check_pools(self, manifest: Manifest) -> None:
        """Raises a DeployError if no worker serves the pool of a deployment."""
        for deployment in (resource for resource in manifest.resources if resource.kind == Deployments.title):
            if (pool := deployment.fields["work_pool_name"]) not in self.work_pools:
                raise DeployError(
                    f"no worker of this environment serves the pool {pool!r} of {deployment.name}: served are "
                    f"{', '.join(sorted(self.work_pools)) or 'none'}; add it to prefect_worker_pools of the inventory"
                )

    def complete(self, manifest: Manifest) -> Manifest:
        """The manifest with the pools that workers serve, and its blocks with their values.

        Raises a DeployError if a block has no value, or if Apprise cannot send to an address.
        """
        if not manifest.blocks:  # of a target that registers deployments only
            return manifest
        self._check_blocks(manifest)
        blocks = [
            Resource(kind, name, {"value": value})
            for kind, values in self.blocks.items()
            for name, value in values.items()
            if kind in manifest.blocks
        ]
        pools = WorkPools.undeclared(self.work_pools, manifest.resources)
        return replace(manifest, resources=[*blocks, *pools, *manifest.resources])

    def _check_blocks(self, manifest: Manifest) -> None:
        for kind, names in manifest.blocks.items():
            for name in names:
                if name not in self.blocks.get(kind, {}):
                    variable = "prefect_flow_secrets" if kind == SecretBlocks.title else "prefect_notifications"
                    raise DeployError(
                        f"the {kind} {name!r} is declared in {RESOURCES_YML} and has no value in this environment: "
                        f"add it to {variable} of the inventory, or take it out of {RESOURCES_YML} if no flow of yours "
                        "needs it"
                    )
        for name, address in self.blocks.get(NotificationBlocks.title, {}).items():
            if NotificationBlocks.title in manifest.blocks and is_unusable(address):
                raise DeployError(
                    f"Apprise cannot send to the address of the notification {name!r}, "
                    "see https://appriseit.com/services/: correct it in prefect_notifications of the inventory"
                )


def read_inventory(file: str | None) -> Inventory | None:
    """`platform_inventory`, an object with work_pools, secrets and notifications, as Ansible's debug prints it as JSON.

    Raises a DeployError, also for the error that Ansible prints in its place when a variable is undefined.
    """
    if file is None:
        return None
    try:
        message = json.loads(Path(file).read_text(encoding="utf-8"))["msg"]
        if isinstance(message, str):
            raise DeployError(_unreadable(message))
        facts = message["platform_inventory"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        # a JSONDecodeError would show the text, which holds secrets
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON with a platform_inventory"
        raise DeployError(f"the inventory {file} cannot be read: {reason}") from None
    if not isinstance(facts, dict) or set(facts) - {"work_pools", "secrets", "notifications"}:
        raise DeployError(f"the inventory {file} must be an object with work_pools, secrets and notifications")
    secrets, notifications = facts.get("secrets") or {}, facts.get("notifications") or {}
    _check_values(secrets, "secret", str | dict)
    _check_values(notifications, "notification", str)
    return Inventory(
        facts.get("work_pools") or [], {SecretBlocks.title: secrets, NotificationBlocks.title: notifications}
    )


def _unreadable(message: str) -> str:
    # Only the names of variables are shown: other errors of Ansible may quote a value.
    undefined = re.search(r"'\w+' is undefined", message)
    reason = undefined[0] if undefined else "a template of it fails"
    return f"the inventory cannot be read: {reason}: correct it in group_vars/all, what is secret in the vault"


def _check_values(values: Any, kind: str, types: type | UnionType) -> None:
    if not isinstance(values, dict):
        raise DeployError(f"the {kind}s of the inventory must be an object of names and values")
    for name, value in values.items():
        if not is_block_name(name):
            raise DeployError(f"{name!r} cannot name a {kind}: {BLOCK_NAME_RULE}")
        if not isinstance(value, types) or not value:
            form = "an address" if types is str else "a text or an object"
            raise DeployError(f"the value of the {kind} {name!r} must be {form}, and not empty")
