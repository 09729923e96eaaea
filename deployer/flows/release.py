"""Releases: the content of `flows/`, named after its commit and packed for the workers."""

import hashlib
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from deployer.commands import make_command
from deployer.flows.git import git, working_tree, write_archive
from deployer.flows.project import Project
from deployer.model.errors import DeployError

ARCHIVE, MANIFEST = "flows.tar", "manifest.json"


def release_id(flows: Path, allow_dirty: bool) -> str:
    """The name of the release in the working tree of `flows`.

    It is the commit. With uncommitted changes it ends in `-dirty-<content>`, so that no id ever means two things.
    Raises a DeployError for uncommitted changes without `allow_dirty`.
    """
    commit = git(flows, "rev-parse", "--short=12", "HEAD")
    if not git(flows, "status", "--porcelain", "--", "."):
        return commit
    if not allow_dirty:
        raise DeployError(f"{flows.name}/ has uncommitted changes, and only committed code may run here: commit them")
    return f"{commit}-dirty-{working_tree(flows)[:8]}"


def pack(flows: Path, folder: Path) -> str:
    """Pack the working tree of `flows` into the archive of `folder`; returns the archive's hash.

    The same files of the same commit make the same archive, byte for byte.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / ARCHIVE
    # git dates the files of an archive by its commit, and those of a mere tree by the clock
    when = f"{git(flows, 'log', '--max-count=1', '--format=%ct')} +0000"
    who = {f"GIT_{role}_{part}": "flows" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    commit = git(flows, "commit-tree", "-m", "flows", working_tree(flows), settings=who | dates)
    write_archive(flows, commit, archive)
    return _hash(archive)


@contextmanager
def release_files(flows: Path) -> Iterator[Path]:
    """A folder with the files of a release of `flows`; `flows` itself if git cannot pack it."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, flows.name)
        yield folder if _unpacked(flows, folder) else flows


def _unpacked(flows: Path, folder: Path) -> bool:
    archive = folder.with_suffix(".tar")
    try:
        write_archive(flows, working_tree(flows), archive)
    except DeployError:  # release_id reports it
        return False
    with tarfile.open(archive) as tar:
        # Links are a problem in any case, and must not lead out of here
        members = [member for member in tar if member.isfile() or member.isdir()]
        tar.extractall(folder, members, filter="data")
    return True


def unpack_needs(folder: Path, expected_hash: str) -> list[Project]:
    """Unpack the locks and the lists of Debian packages from the archive of `folder`, into `folder/projects`.

    Returns the projects that have a lock. Raises a DeployError if the archive's hash is not the expected one.
    """
    archive = folder / ARCHIVE
    if not archive.is_file():
        raise DeployError(f"{archive} is missing, which belongs to its manifest: run `{make_command('pack')}` again")
    if _hash(archive) != expected_hash:
        raise DeployError(f"{archive} is not the archive that its manifest names: run `{make_command('pack')}` again")
    shutil.rmtree(folder / "projects", ignore_errors=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            is_needed = member.isfile() and re.fullmatch(r"[a-z][a-z0-9_]*/(requirements|apt)\.txt", member.name)
            if is_needed and (content := tar.extractfile(member)):
                file = folder / "projects" / member.name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.read())
    return [Project(lock.parent) for lock in sorted(folder.glob("projects/*/requirements.txt"))]


def _hash(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
