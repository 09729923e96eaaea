"""The hashed locks, each resolved from the `.in` beside it, and what moves: `make lock` and `make outdated` run it.

They are resolved in a scratch folder, so that a lock changes only when all of them could be resolved.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from packaging.version import Version

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
# Those of a project before what its tests add, which is limited by them
SOURCES = (
    "requirements/*.in",
    "compose/*.in",
    "bench/*.in",
    "flows/*/requirements.in",
    "flows/*/requirements-dev.in",
    "templates/shared/requirements.in",
    "templates/shared/requirements-dev.in",
    "tests/e2e/*.in",
)
COMPILE = ("pip", "compile", "--quiet", "--upgrade", "--universal", "--no-header", "--python-version", "3.11")
NONE = "-"
# A release that was stolen or is broken is mostly noticed within days; uv reads this setting.
AGE = "UV_EXCLUDE_NEWER"
WEEK = "1 week"

# A package may have several versions in a universal lock, such as an older one for an older Python
Pins = Mapping[str, tuple[str, ...]]


class Move(NamedTuple):
    """A package of a lock whose versions change; it may be new there, or go."""

    package: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def row(self) -> tuple[str, ...]:
        """Its line of the table; what goes back stands out, as it seldom is what was meant."""
        back = self.before and self.after and newest(self.after) < newest(self.before)
        return self.package, shown(self.before), shown(self.after), "older" if back else ""


def main() -> int:
    """Do what the command line says and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("lock", "outdated"))
    parser.add_argument("--project", help="only the locks of flows/<project>")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR")
    options = parser.parse_args()
    try:
        sources = sources_of(options.root, options.project)
        if not sources:
            print(f"flows/{options.project} has no requirements.in: correct PROJECT=, or write one", file=sys.stderr)
            return 1
        locks = resolve(options.root, sources)
        (lock if options.command == "lock" else outdated)(options.root, locks)
    except subprocess.CalledProcessError as error:
        print(f"uv could not resolve {error.cmd[-1]}, for the reason above: no lock has changed", file=sys.stderr)
        return 1
    print(f"Releases younger than {os.environ.get(AGE, WEEK)} are left out ({AGE}=… says otherwise).")
    return 0


def lock(root: Path, locks: Mapping[Path, str]) -> None:
    """Write the locks, and print of each what moved."""
    for path, text in locks.items():
        moved = moves(pins_of(root / path), pins(text))
        (root / path).write_text(text)
        print(path if moved else f"{path}: nothing moved")
        if moved:
            table(("package", "from", "to", ""), [move.row for move in moved])


def outdated(root: Path, locks: Mapping[Path, str]) -> None:
    """Print what `make lock` would move, and what has newer releases that a limit keeps away."""
    locked = {path: pins_of(root / path) for path in locks}
    latest = latest_of({package for lock in locked.values() for package in lock})
    rows = set()
    for path, text in locks.items():
        after = pins(text)
        for package, versions in locked[path].items():
            next_versions = after.get(package, ())
            if set(next_versions) != set(versions) or newest(versions) < newest(latest[package]):
                rows.add((package, shown(versions), shown(next_versions), str(newest(latest[package]))))
    if rows:
        table(("package", "locked", "make lock", "latest"), sorted(rows))
    else:
        print("Every package is the latest.")


def sources_of(root: Path, project: str | None) -> list[Path]:
    """The `.in` files below `root`, or those of a project under `flows/`."""
    patterns = [f"flows/{project}/requirements{part}.in" for part in ("", "-dev")] if project else SOURCES
    return [path.relative_to(root) for pattern in patterns for path in sorted(root.glob(pattern))]


def resolve(root: Path, sources: Iterable[Path]) -> dict[Path, str]:
    """The text of the lock of each source by its path below `root`, resolved anew; raises CalledProcessError."""
    cache = root / ".cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="locks-", dir=cache) as scratch:
        for source in sources:
            copy = Path(scratch, source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / source, copy)
        locks = {}
        for source in sources:
            path = source.with_suffix(".txt")
            limits = ["--constraints", "requirements.txt"] if source.stem == "requirements-dev" else []
            wheels = root / source.parent / "wheels"
            if wheels.is_dir():  # of packages that no index has
                limits += ["--find-links", str(wheels.resolve())]
            options = ["--generate-hashes", *limits, "--output-file", path.name, source.name]
            uv(*COMPILE, *options, folder=Path(scratch, source.parent), what=source)
            locks[path] = Path(scratch, path).read_text()
        return locks


def latest_of(packages: Iterable[str]) -> Pins:
    """The latest release of each package, without regard to the limits of the others."""
    names = "\n".join(sorted(packages))
    return pins(uv(*COMPILE, "--no-deps", "--no-annotate", "-", what="latest releases", text=names))


def uv(*arguments: str, what: object, folder: Path | None = None, text: str = "") -> str:
    """What uv prints; what it complains of is seen on the terminal."""
    command = [UV, *arguments]
    environment = {AGE: WEEK, **os.environ}
    done = subprocess.run(command, cwd=folder, env=environment, input=text, stdout=subprocess.PIPE, text=True)  # noqa: S603
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, [*command, str(what)])
    return done.stdout


def pins(text: str) -> Pins:
    """The versions of each package of a lock."""
    versions: dict[str, tuple[str, ...]] = {}
    for package, version in re.findall(r"^([\w.-]+)(?:\[.*?\])?==([^\s;]+)", text, re.MULTILINE):
        versions[package] = (*versions.get(package, ()), version)
    return versions


def pins_of(lock: Path) -> Pins:
    """The same of a lock that may not be there yet."""
    return pins(lock.read_text()) if lock.exists() else {}


def moves(before: Pins, after: Pins) -> list[Move]:
    """What differs from one lock to another, by the names of packages."""
    both = [Move(package, before.get(package, ()), after.get(package, ())) for package in sorted({*before, *after})]
    return [move for move in both if set(move.before) != set(move.after)]


def newest(versions: Iterable[str]) -> Version:
    """The highest of them."""
    return max(map(Version, versions))


def shown(versions: Iterable[str]) -> str:
    """Versions in their order, or a dash for none."""
    return ", ".join(sorted(versions, key=Version)) or NONE


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows in columns, indented."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
