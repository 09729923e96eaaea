"""Doing what a plan says: several changes at a time, and never more than the plan."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.concurrency.asyncio import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    concurrency,
)
from prefect.exceptions import ObjectAlreadyExists, PrefectException

from deployer.model.errors import DeployError
from deployer.model.manifest import Resource
from deployer.server.connection import failure
from deployer.server.kinds import PHASES
from deployer.server.kinds.work_pools import WorkPools, WorkQueues
from deployer.server.plan import Action, Change, Plan
from deployer.server.restore_hold import hold

AT_ONCE = 8
LOCK = "platform-deploy"
# The server frees the lock of a process that is gone after this many seconds; that long one waits for it, and more
LEASE, WAIT = 60, 120
LOST = "stopped by hand, or by the server, which no longer keeps others out: it or this machine was away for too long"


@asynccontextmanager
async def alone(client: PrefectClient) -> AsyncIterator[None]:
    """Keep every other one from deploying to this server meanwhile."""
    with suppress(ObjectAlreadyExists):
        await client.upsert_global_concurrency_limit_by_name(LOCK, 1)
    stopped: DeployError | None = None
    for name in (
        "prefect.concurrency",
        "prefect._internal.concurrency",
    ):  # they tell with tracebacks what is told below
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        async with concurrency(LOCK, timeout_seconds=WAIT, lease_duration=LEASE, strict=True):
            try:
                yield
            except DeployError as error:
                stopped = error
            except asyncio.CancelledError:
                stopped = DeployError(f"{LOST}; nothing was changed, run it again")
    except AcquireConcurrencySlotTimeoutError:
        raise DeployError(
            f"somebody else is deploying to this server, for more than {WAIT} s: wait, then run it again"
        ) from None
    except ConcurrencySlotAcquisitionError:
        raise DeployError(
            "the server went away, or refused, before it was this deployment's turn: run it again"
        ) from None
    except (httpx.HTTPError, asyncio.CancelledError):  # a server that is gone cannot be told either that this is over
        if not stopped:
            raise
    if stopped:
        raise stopped


async def apply(client: PrefectClient, plan: Plan, done: Callable[[Change], None]) -> None:
    """Make the changes, and call `done` with each; raises a DeployError that tells what was not done."""
    left = {(each.kind, each.name): each for each in plan.pending}
    turn, own_turn = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def make(change: Change) -> None:
        kind = kinds[change.kind]
        async with turn if kind.several_at_once else own_turn:
            if change.action is Action.DELETE:
                await kind.delete(change.held)
            else:
                await kind.write(change.name, change.fields, change.held)
        del left[change.kind, change.name]
        done(change)

    kinds = {each.title: each(client, plan.state.owner) for phase in PHASES for each in phase}
    titles = [[kind.title for kind in phase] for phase in PHASES]
    written = [each for each in plan.pending if each.action is not Action.DELETE]
    steps = [[each for each in written if each.kind in phase] for phase in titles]
    steps.append([each for each in plan.pending if each.action is Action.DELETE])
    try:
        for step in steps:
            for title in {each.kind for each in step if each.action is not Action.DELETE}:
                wanted = [Resource(each.kind, each.name, each.fields) for each in step if each.kind == title]
                await kinds[title].prepare(wanted)
            async with asyncio.TaskGroup() as group:
                for change in step:
                    group.create_task(make(change))
            made = {
                kind: {each.name for each in step if (each.kind, each.action) == (kind.title, Action.CREATE)}
                for kind in (WorkPools, WorkQueues)
            }
            await hold(client, made[WorkPools], made[WorkQueues])
    except asyncio.CancelledError:
        raise _stopped(DeployError(LOST), left, len(plan.pending)) from None
    except ExceptionGroup as errors:
        raise _stopped(errors.exceptions[0], left, len(plan.pending)) from None
    except (DeployError, httpx.HTTPError, PrefectException) as error:
        raise _stopped(error, left, len(plan.pending)) from None


def _stopped(error: Exception, left: dict[tuple[str, str], Change], total: int) -> Exception:
    """The error, and what it left undone; what was under way may have been done all the same."""
    if isinstance(error, PrefectException):  # an answer of the server, in Prefect's own words
        error = getattr(error, "http_exc", None) or DeployError(f"{type(error).__name__}: {error}")
    if isinstance(error, httpx.HTTPError):
        error = failure(error)
    if not isinstance(error, DeployError):
        return error
    undone = "".join(f"\n  not done: {each.action} {each.kind} {each.name}" for each in left.values())
    return DeployError(f"{error}\n{total - len(left)} of {total} changes were made, run it again for the rest:{undone}")
