"""The pool of a deployment must exist and be served, its queue must be declared."""

from collections.abc import Iterable

from deployer.files.document import Document
from deployer.files.inventory import Inventory
from deployer.files.prefect_yaml import Declaration
from deployer.files.resources_yml import RESOURCES_YML, ResourcesFile
from deployer.files.targets_yml import TargetsFile
from deployer.server.kinds.work_pools import WorkPools, WorkQueues


def check_pool(
    document: Document, declaration: Declaration, resources: ResourcesFile, inventory: Inventory | None
) -> None:
    """Workers must serve the pool. Only an inventory knows; without one, `take` checks the release."""
    where = (*declaration.location, "work_pool")
    where = (*where, "name") if document.has((*where, "name")) else where
    if not inventory:
        return
    pools = resources.names(WorkPools.title) | set(inventory.work_pools)
    if declaration.pool not in pools:
        known = f"the pools are {', '.join(sorted(pools))}; or " if pools else ""
        reason = f"there is no pool {declaration.pool!r}: {known}add it to work_pools in {RESOURCES_YML}"
        document.add_problem(where, reason)
    elif declaration.pool not in inventory.work_pools:
        document.add_problem(where, not_served(declaration.pool, inventory.work_pools))


def check_queue(document: Document, declaration: Declaration, resources: ResourcesFile, targets: TargetsFile) -> None:
    """The pool must have the queue; every pool has the default queue."""
    if declaration.queue in (None, "default"):
        return
    pool = (targets.target and targets.target.work_pool) or declaration.pool
    if f"{pool}/{declaration.queue}" not in resources.names(WorkQueues.title):
        where = (*declaration.location, "work_pool", "work_queue_name")
        mend = f"add it to the pool's work_queues in {RESOURCES_YML}"
        document.add_problem(where, f"the pool {pool!r} has no queue {declaration.queue!r}: {mend}")


def not_served(pool: str, served: Iterable[str]) -> str:
    """The message for a pool without workers."""
    names = ", ".join(sorted(served)) or "none"
    return f"no worker of this environment serves the pool {pool!r}: served are {names}"
