"""Fails when a disk is nearly full, in bytes or in inodes, and names it: `disk_space 85 / /var/lib/postgresql`."""

import os
from collections.abc import Iterator
from pathlib import Path


def percent_used(total: int, free: int, available: int) -> float:
    """As `df` counts: what is kept for root is neither used nor available."""
    used = total - free
    return 100 * used / (used + available) if used + available else 0.0


def complaints(limit: float, paths: list[str]) -> Iterator[str]:
    """A line for each file system that is used beyond the limit, in percent; paths that do not exist do not count."""
    devices = set()
    for path in paths:
        try:
            device, disk = Path(path).stat().st_dev, os.statvfs(path)
        except FileNotFoundError:
            continue
        if device in devices:
            continue
        devices.add(device)
        for unit, used in (
            ("bytes", percent_used(disk.f_blocks, disk.f_bfree, disk.f_bavail)),
            ("inodes", percent_used(disk.f_files, disk.f_ffree, disk.f_favail)),
        ):
            if used > limit:
                yield f"{path}: {used:.0f}% of its {unit} used, over {limit:g}%: docs/monitoring.md says what may go"


def main(limit: str, *paths: str) -> str | None:
    """Returns the complaints about the disks of these paths, None if there are none; the limit is in percent."""
    return "\n".join(complaints(float(limit), list(paths))) or None
