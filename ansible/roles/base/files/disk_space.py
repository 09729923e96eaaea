"""Fails when a disk is nearly full, in bytes or in inodes, and says which: `disk_space.py 85 / /var/lib/postgresql`."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path


def percent_used(total: int, free: int, available: int) -> float:
    """As `df` counts: what is kept for root is neither used nor available."""
    used = total - free
    return 100 * used / (used + available) if used + available else 0.0


def complaints(limit: float, paths: list[str]) -> Iterator[str]:
    """One line for each file system that is used beyond the limit; paths that are not there are no matter."""
    seen = set()
    for path in paths:
        try:
            device, room = Path(path).stat().st_dev, os.statvfs(path)
        except FileNotFoundError:
            continue
        if device in seen:
            continue
        seen.add(device)
        for what, used in (
            ("bytes", percent_used(room.f_blocks, room.f_bfree, room.f_bavail)),
            ("inodes", percent_used(room.f_files, room.f_ffree, room.f_favail)),
        ):
            if used > limit:
                yield f"{path}: {used:.0f}% of its {what} used, over {limit:g}%: docs/monitoring.md says what may go"


if __name__ == "__main__":
    sys.exit("\n".join(complaints(float(sys.argv[1]), sys.argv[2:])) or None)
