"""The deploy lock: one deployment at a time changes a server.

It is a concurrency limit of the server with one slot. The holder renews its lease while it works.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.concurrency.asyncio import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    concurrency,
)
from prefect.exceptions import ObjectAlreadyExists

from deployer.model.errors import DeployError

LIMIT = "platform-deploy"
# In seconds: the server frees the lock of a holder that is gone after LEASE; WAIT for the lock is longer than that
LEASE, WAIT = 60, 120
LOST = f"interrupted, or the deploy lock was lost (server or this machine unreachable for over {LEASE} s)"


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
        async with concurrency(LIMIT, timeout_seconds=WAIT, lease_duration=LEASE, strict=True):
            try:
                yield
            except DeployError as error:
                interruption = error
            except asyncio.CancelledError:
                interruption = DeployError(f"{LOST}; nothing was changed, run it again")
    except AcquireConcurrencySlotTimeoutError:
        raise DeployError(
            f"another deployment has held this server's lock for more than {WAIT} s: wait, then run it again"
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
