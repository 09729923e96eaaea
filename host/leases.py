"""Prefect's leases on disk, which neither an outage of the server nor a cut of the network ends.

A run holds its slots by a lease of some minutes, and ends when it cannot renew it. The server would call all leases
expired that ran out while it was away, or could not be reached, before their runs, which wait longer from try to try,
notice that it is back.
"""

import sys
import time
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from prefect.server.concurrency.lease_storage import ConcurrencyLimitLeaseMetadata, filesystem
from prefect.server.database import provide_database_interface
from prefect.server.schemas.states import TERMINAL_STATES
from prefect.server.utilities.leasing import ResourceLease

STARTED = time.time()
# The longest wait between two tries of a client (PREFECT_CLIENT_MAX_RETRIES=8): 256 seconds, or a fifth more
GRACE = 320

Lease = ResourceLease[ConcurrencyLimitLeaseMetadata]


class ConcurrencyLeaseStorage(filesystem.ConcurrencyLeaseStorage):
    """Leases are over later, by as long as a try may take: that of a run which has not ended, and after a start of the
    server all that were last renewed before it.
    """

    async def read_expired_lease_ids(self, limit: int = 100) -> list[UUID]:
        """The leases whose slots are free again."""
        # Leases that are not over yet must not hide others behind the limit
        expired = await super().read_expired_lease_ids(sys.maxsize)
        if time.time() <= STARTED + GRACE:
            expired = [lease for lease in expired if self._renewed_since(lease)]
        late = {lease: holder for lease in expired if (holder := _late_holder(await self.read_lease(lease)))}
        under_way = await _under_way(set(late.values())) if late else set()
        return [lease for lease in expired if late.get(lease) not in under_way][:limit]

    def _renewed_since(self, lease: UUID) -> bool:
        file = self._lease_file_path(lease)
        return not file.exists() or file.stat().st_mtime > STARTED


def _late_holder(lease: Lease | None) -> UUID | None:
    """The run that holds a lease, as long as its next try may still come; None for a lease of `concurrency()`."""
    if lease is None or lease.metadata is None or lease.metadata.holder is None:
        return None
    over_for = (datetime.now(UTC) - lease.expiration).total_seconds()
    return lease.metadata.holder.id if over_for < GRACE else None


async def _under_way(runs: set[UUID]) -> set[UUID]:
    """Which flow runs have not ended, and which task runs of such."""
    database = provide_database_interface()
    flow_run, task_run = database.FlowRun, database.TaskRun
    flow_runs = sa.select(flow_run.id).where(flow_run.id.in_(runs), flow_run.state_type.not_in(TERMINAL_STATES))
    task_runs = (
        sa.select(task_run.id)
        .join(flow_run, task_run.flow_run_id == flow_run.id)
        .where(
            task_run.id.in_(runs),
            task_run.state_type.not_in(TERMINAL_STATES),
            flow_run.state_type.not_in(TERMINAL_STATES),
        )
    )
    async with database.session_context() as session:
        return set((await session.execute(sa.union(flow_runs, task_runs))).scalars())
