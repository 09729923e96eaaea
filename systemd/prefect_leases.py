"""Prefect's leases on disk, which an outage of the server does not end.

A run holds its slots by a lease of some minutes, and ends when it cannot renew it. The server would call all leases
expired that ran out while it was away, before their runs, which wait longer from try to try, notice that it is back.
"""

import time
from uuid import UUID

from prefect.server.concurrency.lease_storage import filesystem

STARTED = time.time()
# The longest wait between two tries of a client (PREFECT_CLIENT_MAX_RETRIES=8): 256 seconds, or a fifth more
GRACE = 320


class ConcurrencyLeaseStorage(filesystem.ConcurrencyLeaseStorage):
    """For as long as a try may take, leases are not over that were last renewed before the server started."""

    async def read_expired_lease_ids(self, limit: int = 100) -> list[UUID]:
        """The leases whose slots are free again."""
        expired = await super().read_expired_lease_ids(limit)
        if time.time() > STARTED + GRACE:
            return expired
        return [lease for lease in expired if self._renewed_since(lease)]

    def _renewed_since(self, lease: UUID) -> bool:
        file = self._lease_file_path(lease)
        return not file.exists() or file.stat().st_mtime > STARTED
