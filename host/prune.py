"""Removes environments and earlier programs that nothing needs any more: `prune /opt/prefect`.

Needed is what a unit, a kept release or a living process names; of the platform's environments and of its programs
also the earlier one, to go back to; and all that is younger than a week, as it may be about to be used. The projects'
environments are in a folder of their own, whose owner is the user who deploys: links there are left alone.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

UNITS, PROCESSES = Path("/etc/systemd/system"), Path("/proc")
WEEK = 7 * 86400
# What the platform itself runs, of which the last two are kept
LAST_TWO = ("envs/server-*", "envs/uv-*", "envs/worker-*", "platform/*")


def texts(root: Path, units: Path, processes: Path) -> Iterator[str]:
    """All texts that may name an environment."""
    files = [*units.glob("*.service"), *units.glob("*.service.d/*.conf")]
    # What an upgrade goes back to
    files += [*root.glob("before/*.service"), *root.glob("upgrade-units/*.service")]
    files += root.glob("flows/releases/*/.manifest-*.json")
    for file in files:
        if file.is_file():
            yield file.read_text(errors="replace")
    for process in processes.glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended


def born(environment: Path) -> float:
    """When it was completed, or last touched by a build (Unix time)."""
    return max(path.stat().st_mtime for path in (environment, environment / ".complete") if path.exists())


def unneeded(root: Path, units: Path = UNITS, processes: Path = PROCESSES) -> list[Path]:
    """The folders that may go, the youngest first."""
    pattern = re.compile(rf"{re.escape(str(root))}/(?:flows/)?envs/[\w.-]+")
    needed = {Path(name) for text in texts(root, units, processes) for name in pattern.findall(text)}
    needed.add((root / "platform/current").resolve())
    paths = [*root.glob("envs/[!.]*"), *root.glob("flows/envs/[!.]*"), *root.glob("platform/[!.]*")]
    folders = sorted((path for path in paths if path.is_dir() and not path.is_symlink()), key=born, reverse=True)
    for kind in LAST_TWO:
        needed |= {*[path for path in folders if path.match(f"{root}/{kind}")][:2]}
    return [path for path in folders if path not in needed and born(path) < time.time() - WEEK]


def main(folder: str) -> None:
    """Remove them from the folder of the platform, and then what uv's caches shared with them."""
    root = Path(folder)
    removed = unneeded(root)
    for path in removed:
        print(f"Removed {path}: no unit, no kept release and no process needs it.")
        shutil.rmtree(path)
        path.with_name(f"{path.name}.txt").unlink(missing_ok=True)
    parents = {path.parent for path in removed}
    if root / "flows/envs" in parents:
        shutil.rmtree(root / "flows/envs/.uv-cache", ignore_errors=True)
    if root / "envs" in parents:
        uv = max((root / "envs").glob("uv-*/bin/uv"), key=lambda path: path.stat().st_mtime)
        subprocess.run([uv, "cache", "clean", "--quiet"], check=True)
