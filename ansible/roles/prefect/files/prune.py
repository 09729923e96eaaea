"""Removes environments that nothing needs any more: `prune.py /opt/prefect`.

Needed is what a unit, a kept release or a living process names; of the platform's own environments also the one before,
to go back to; and whatever is younger than a week, as it may be about to be used. The projects' environments are in
a folder of their own, whose owner is the user who deploys: what is no file or folder there is left alone.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

UNITS, PROCESSES = Path("/etc/systemd/system"), Path("/proc")
WEEK = 7 * 86400
# Environments of the platform, of which the last two are kept.
OWN = ("server", "uv", "worker")


def texts(root: Path, units: Path, processes: Path) -> Iterator[str]:
    """All that may name an environment."""
    files = [*units.glob("*.service"), *units.glob("*.service.d/*.conf")]
    # what an upgrade goes back to
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
    """When it was completed, or last touched by whoever is building it."""
    return max(path.stat().st_mtime for path in (environment, environment / ".complete") if path.exists())


def unneeded(root: Path, units: Path = UNITS, processes: Path = PROCESSES) -> list[Path]:
    """The environments that may go."""
    named = re.compile(rf"{re.escape(str(root))}/(?:flows/)?envs/[\w.-]+")
    needed = {Path(name) for text in texts(root, units, processes) for name in named.findall(text)}
    folders = [*root.glob("envs/[!.]*"), *root.glob("flows/envs/[!.]*")]
    folders = [path for path in folders if path.is_dir() and not path.is_symlink()]
    environments = sorted(folders, key=born, reverse=True)
    for own in OWN:
        needed |= {*[path for path in environments if path.match(f"{root}/envs/{own}-*")][:2]}
    return [path for path in environments if path not in needed and born(path) < time.time() - WEEK]


def main(root: Path) -> None:
    """Remove them, and then what uv's caches shared with them."""
    gone = unneeded(root)
    for environment in gone:
        print(f"Removed {environment}: no unit, no kept release and no process needs it.")
        shutil.rmtree(environment)
        environment.with_name(f"{environment.name}.txt").unlink(missing_ok=True)
    folders = {environment.parent for environment in gone}
    if root / "flows/envs" in folders:
        shutil.rmtree(root / "flows/envs/.uv-cache", ignore_errors=True)
    if root / "envs" in folders:
        uv = max((root / "envs").glob("uv-*/bin/uv"), key=lambda path: path.stat().st_mtime)
        subprocess.run([uv, "cache", "clean", "--quiet"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
