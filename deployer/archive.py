"""Releases: what `flows/` holds, named after its commit and packed for the workers."""

import os
import subprocess
from pathlib import Path

from deployer.errors import DeployError, one_line


def pack(flows: Path, folder: Path, allow_dirty: bool) -> tuple[str, Path]:
    """Pack the working tree of `flows` into `folder`; returns the release's id and the archive.

    The id is the commit. With uncommitted changes it ends in `-dirty-<content>`, so that no id ever means two things.
    """
    folder.mkdir(parents=True, exist_ok=True)
    commit = _git(flows, "rev-parse", "--short=12", "HEAD")
    dirty = _git(flows, "status", "--porcelain", "--", ".")
    if dirty and not allow_dirty:
        raise DeployError(f"{flows.name}/ has uncommitted changes, and only committed code may run here: commit them")

    # A scratch index takes in the working tree as it is, ignored files left out, and leaves the user's index alone
    index = folder / f"index-{os.getpid()}"
    try:
        _git(flows, "add", "--all", "--", ".", index=index)
        tree = _git(flows, "write-tree", f"--prefix={_git(flows, 'rev-parse', '--show-prefix')}", index=index)
    finally:
        index.unlink(missing_ok=True)

    archive = folder / f"{tree}.tar"
    if not archive.exists():
        part = archive.with_suffix(".part")
        # From the folder above: git archives only the part of a tree that is the current folder
        _git(flows.parent, "-c", "tar.umask=0022", "archive", "--format=tar", f"--output={part.resolve()}", tree)
        part.rename(archive)
    return (f"{commit}-dirty-{tree[:8]}" if dirty else commit), archive


def _git(folder: Path, *arguments: str, index: Path | None = None) -> str:
    environment = os.environ | ({"GIT_INDEX_FILE": str(index.resolve())} if index else {})
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    except FileNotFoundError:
        raise DeployError("git is missing, which names and packs releases: install it") from None
    except subprocess.CalledProcessError as error:
        said = one_line(error.stderr)
        raise DeployError(f"a release is named after a commit, and git says in {folder}: {said}") from None
    return done.stdout.strip()
