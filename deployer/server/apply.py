"""Making the changes of a plan: several at a time, and never more than the plan."""

import asyncio
from collections.abc import Callable

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectException

from deployer.model.errors import DeployError
from deployer.model.manifest import Resource
from deployer.server.connection import failure
from deployer.server.deploy_lock import LOST
from deployer.server.kinds import PHASES
from deployer.server.kinds.kind import Kind
from deployer.server.kinds.work_pools import WorkPools, WorkQueues
from deployer.server.plan import Action, Change, Plan
from deployer.server.restore_hold import hold_queues

WRITES_AT_ONCE = 8


async def apply(client: PrefectClient, plan: Plan, report: Callable[[Change], None]) -> None:
    """Make the pending changes, and call `report` with each. Raises a DeployError that lists the changes not made."""
    undone = {(change.kind, change.name): change for change in plan.pending}
    try:
        await _Writer(client, plan, report, undone).write_all()
    except asyncio.CancelledError:
        raise _interrupted(DeployError(LOST), undone, len(plan.pending)) from None
    except ExceptionGroup as errors:
        raise _interrupted(errors.exceptions[0], undone, len(plan.pending)) from None
    except (DeployError, httpx.HTTPError, PrefectException) as error:
        raise _interrupted(error, undone, len(plan.pending)) from None


class _Writer:
    """Writes a plan phase by phase, then deletes; removes from `undone` each change that is made."""

    def __init__(
        self,
        client: PrefectClient,
        plan: Plan,
        report: Callable[[Change], None],
        undone: dict[tuple[str, str], Change],
    ) -> None:
        self._client = client
        self._pending = plan.pending
        self._report = report
        self._undone = undone
        self._kinds: dict[str, Kind] = {
            kind.title: kind(client, plan.manifest.owner) for phase in PHASES for kind in phase
        }
        self._several = asyncio.Semaphore(WRITES_AT_ONCE)
        self._single = asyncio.Lock()

    async def write_all(self) -> None:
        for phase in PHASES:
            titles = {kind.title for kind in phase}
            changes = [
                change for change in self._pending if change.kind in titles and change.action is not Action.DELETE
            ]
            await self._prepare(changes)
            await self._make(changes)
            pools, queues = (
                {change.name for change in changes if (change.kind, change.action) == (kind.title, Action.CREATE)}
                for kind in (WorkPools, WorkQueues)
            )
            await hold_queues(self._client, pools, queues)
        await self._make([change for change in self._pending if change.action is Action.DELETE])

    async def _prepare(self, changes: list[Change]) -> None:
        resources: dict[str, list[Resource]] = {}
        for change in changes:
            resources.setdefault(change.kind, []).append(Resource(change.kind, change.name, change.fields))
        for title, of_kind in resources.items():
            await self._kinds[title].prepare(of_kind)

    async def _make(self, changes: list[Change]) -> None:
        async with asyncio.TaskGroup() as group:
            for change in changes:
                group.create_task(self._make_one(change))

    async def _make_one(self, change: Change) -> None:
        kind = self._kinds[change.kind]
        async with self._several if kind.several_at_once else self._single:
            if change.action is not Action.DELETE:
                await kind.write(change.name, change.fields, change.current)
            elif change.current:
                await kind.delete(change.current)
        del self._undone[change.kind, change.name]
        self._report(change)


def _interrupted(error: Exception, undone: dict[tuple[str, str], Change], total: int) -> Exception:
    """The error with the changes not made; those under way may be made all the same."""
    if isinstance(error, PrefectException):  # the server's answer, in Prefect's words
        error = getattr(error, "http_exc", None) or DeployError(f"{type(error).__name__}: {error}")
    if isinstance(error, httpx.HTTPError):
        error = failure(error)
    if not isinstance(error, DeployError):
        return error
    lines = "".join(f"\n  not done: {change.action} {change.kind} {change.name}" for change in undone.values())
    return DeployError(
        f"{error}\n{total - len(undone)} of {total} changes were made, run it again for the rest:{lines}"
    )
