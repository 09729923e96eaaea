"""The deploy lock: one deployment at a time changes a server.

It is a concurrency limit of the server with one slot. The holder renews its lease while it works, and notes in a
variable of the server who it is.
"""

import asyncio
import getpass
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.concurrency.asyncio import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    concurrency,
)
from prefect.concurrency.context import ConcurrencyContext
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from deployer.model.errors import DeployError

LIMIT = "platform-deploy"
# In seconds: the server frees the lock of a holder that is gone after LEASE; WAIT for the lock is longer than that
LEASE, WAIT = 60, 120
LOST = f"interrupted, or the deploy lock was lost (server or this machine unreachable for over {LEASE} s)"


@dataclass(frozen=True)
class Holder:
    """Who holds the lock: `name` is <user>@<host>, `since` an ISO 8601 time, `lease` an id of the server."""

    name: str
    process: int
    since: str
    lease: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.process}) since {self.since}"


@dataclass(frozen=True)
class LockStatus:
    """Whether the lock is held, and by whom; a holder that could not note itself is None."""

    is_held: bool
    holder: Holder | None

    def __str__(self) -> str:
        if not self.is_held:
            return "The deploy lock is free."
        return f"The deploy lock is held by {self.holder or 'an unknown deployment'}."


@asynccontextmanager
async def deploy_lock(client: PrefectClient) -> AsyncIterator[None]:
    """Hold the deploy lock of this server. Raises a DeployError if another deployment holds it for too long."""
    with suppress(ObjectAlreadyExists):
        await client.upsert_global_concurrency_limit_by_name(LIMIT, 1)
    interruption: DeployError | None = None
    # They log tracebacks of the failures that are reported below
    for name in ("prefect.concurrency", "prefect._internal.concurrency"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        async with _lease() as lease:
            try:
                await _note_holder(client, lease)
                yield
                with suppress(ObjectNotFound):
                    await client.delete_variable_by_name(_variable())
            except DeployError as error:
                interruption = error
            except asyncio.CancelledError:
                interruption = DeployError(f"{LOST}; nothing was changed, run it again")
    except AcquireConcurrencySlotTimeoutError:
        holder = (await lock_status(client)).holder or "another deployment"
        raise DeployError(
            f"this server's deploy lock is held for more than {WAIT} s by {holder}: wait, then run it again"
        ) from None
    except ConcurrencySlotAcquisitionError:
        raise DeployError(
            "the server became unreachable, or refused, while this deployment waited for its lock: run it again"
        ) from None
    except (httpx.HTTPError, asyncio.CancelledError):  # the lock of an unreachable server cannot be given back
        if not interruption:
            raise
    if interruption:
        raise interruption


async def lock_status(client: PrefectClient) -> LockStatus:
    """Who holds the lock of this server."""
    try:
        limit = await client.read_global_concurrency_limit_by_name(LIMIT)
    except ObjectNotFound:  # nothing was deployed yet
        return LockStatus(False, None)
    if not limit.active_slots:
        return LockStatus(False, None)
    variable = await client.read_variable_by_name(_variable())
    return LockStatus(True, Holder(**cast("dict[str, Any]", variable.value)) if variable else None)


async def release_lock(client: PrefectClient) -> LockStatus:
    """Take the lock from its holder, and return the status before.

    A holder that still runs stops when it next renews its lease, within about a minute.

    Raises a DeployError if the lock is still held afterwards.
    """
    before = await lock_status(client)
    if before.holder:
        await client.release_concurrency_slots_with_lease(UUID(before.holder.lease))
    if before.is_held and (await lock_status(client)).is_held:
        raise DeployError(
            f"the deploy lock is held by a deployment that has noted no lease: wait {LEASE} s after its end, "
            "then the server frees it"
        )
    return before


@asynccontextmanager
async def _lease() -> AsyncIterator[UUID]:
    """Hold the limit's slot, and give the id of its lease."""
    async with AsyncExitStack() as stack:
        with ConcurrencyContext() as context:
            await stack.enter_async_context(concurrency(LIMIT, timeout_seconds=WAIT, lease_duration=LEASE, strict=True))
            lease = context.cleanup_lease_ids.pop()
        yield lease


async def _note_holder(client: PrefectClient, lease: UUID) -> None:
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    value = asdict(Holder(f"{_user()}@{socket.gethostname()}", os.getpid(), since, str(lease)))
    try:
        await client.create_variable(VariableCreate(name=_variable(), value=value))
    except ObjectAlreadyExists:  # of a holder that was interrupted
        await client.update_variable(VariableUpdate(name=_variable(), value=value))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for the user
        return str(os.getuid())


def _variable() -> str:
    return f"{LIMIT.replace('-', '_')}_holder"
