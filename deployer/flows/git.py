"""The repository around `flows/`."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from deployer.model.errors import DeployError, one_line


def git(folder: Path, *arguments: str, settings: dict[str, str] | None = None) -> str:
    """Git's output, stripped; `settings` are environment variables. Raises a DeployError with git's words."""
    environment = os.environ | (settings or {})
    command = ["git", *arguments]
    try:
        completed = subprocess.run(  # noqa: S603 - fixed program
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise DeployError("git is missing, which names and packs releases: install it") from None
    except subprocess.CalledProcessError as error:
        reason = one_line(error.stderr)
        raise DeployError(f"a release is named after a commit, and git says in {folder}: {reason}") from None
    return completed.stdout.strip()


def working_tree(folder: Path) -> str:
    """Git's name of the tree in the working folder, ignored files left out unless somebody has added them.

    A scratch index, which starts as a copy of the user's, takes in the working folder: the user's stays as it is.
    """
    with TemporaryDirectory() as scratch:
        index, user_index = Path(scratch, "index"), Path(folder, git(folder, "rev-parse", "--git-path", "index"))
        if user_index.exists():
            shutil.copyfile(user_index, index)
        settings = {"GIT_INDEX_FILE": str(index)}
        git(folder, "add", "--all", "--", ".", settings=settings)
        prefix = git(folder, "rev-parse", "--show-prefix")
        return git(folder, "write-tree", f"--prefix={prefix}", settings=settings)


def write_archive(folder: Path, tree: str, archive: Path) -> None:
    """Write a tree, or a commit, of the repository around `folder` into a tar file."""
    # From the top: git archives only the part of a tree that is the current folder
    top = Path(git(folder, "rev-parse", "--show-toplevel"))
    git(top, "-c", "tar.umask=0022", "archive", "--format=tar", f"--output={archive.resolve()}", tree)
