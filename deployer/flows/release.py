"""Releases: what `flows/` holds, named after its commit and packed for the workers."""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from deployer.commands import make_command
from deployer.flows.project import Project
from deployer.model.errors import DeployError, Problem, one_line

ARCHIVE, MANIFEST = "flows.tar", "manifest.json"
# Files of settings that are no settings yet
EXAMPLES = (".env.example", ".env.sample", ".env.template")
# Keys by their names; those in text are known by their first line, whatever the file is called
KEYS = (".key", ".p12", ".pfx")
PRIVATE_KEY = re.compile(rb"^-----BEGIN [A-Z ]*PRIVATE KEY-----", re.MULTILINE)


def check_files(flows: Path) -> list[Problem]:
    """What no release may hold: secrets in plain text, and what is another file on the workers than here."""
    try:
        names = _git(flows, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    except DeployError:  # nothing can be packed here: the name of a release says so
        return []
    files = {name: flows / name for name in names.split("\0")[:-1] if os.path.lexists(flows / name)}
    return [
        Problem(f"{flows.name}/{one_line(name)}", 1, "", reason)
        for name, file in files.items()
        if (reason := _wrong(file))
    ]


def _wrong(file: Path) -> str | None:
    if any(sign in file.name for sign in "\n\r"):
        return "has a line break in its name: rename it"
    if file.is_symlink():
        return "is a link, which leads elsewhere on a worker: put the file itself there"
    if file.is_dir():
        return (
            "is a repository of its own, which a release leaves out: copy its files, or install it by requirements.in"
        )
    if file.name == ".vault-password" or (file.name.startswith(".env") and file.name not in EXAMPLES):
        return "holds secrets, and would be on every worker: move them into the vault, and name the file in .gitignore"
    if file.name in ("vault.yml", "vault.yaml") and not file.read_bytes().startswith(b"$ANSIBLE_VAULT"):
        return "is a vault in plain text: ansible-vault encrypt it, and move it out of flows/"
    if file.suffix in KEYS or _holds_key(file):
        return "holds a private key, and would be on every worker: move it into the vault, and the file out of flows/"
    return None


def _holds_key(file: Path) -> bool:
    """A text about keys does not begin with one; a certificate may stand before its key."""
    find = PRIVATE_KEY.search if file.suffix == ".pem" else PRIVATE_KEY.match
    with file.open("rb") as content:
        return find(content.read(1 << 20)) is not None


def release_id(flows: Path, allow_dirty: bool) -> str:
    """The name of the release that the working tree of `flows` is.

    It is the commit. With uncommitted changes it ends in `-dirty-<content>`, so that no id ever means two things.
    """
    commit = _git(flows, "rev-parse", "--short=12", "HEAD")
    if not _git(flows, "status", "--porcelain", "--", "."):
        return commit
    if not allow_dirty:
        raise DeployError(f"{flows.name}/ has uncommitted changes, and only committed code may run here: commit them")
    return f"{commit}-dirty-{_tree(flows)[:8]}"


def pack(flows: Path, folder: Path) -> str:
    """Pack the working tree of `flows` into the archive of `folder`; returns the archive's hash.

    The same files of the same commit make the same archive, byte for byte.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / ARCHIVE
    # git dates the files of an archive by a commit, and by the clock where there is none
    when = f"{_git(flows, 'log', '--max-count=1', '--format=%ct')} +0000"
    who = {f"GIT_{role}_{part}": "flows" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    commit = _git(flows, "commit-tree", "-m", "flows", _tree(flows), settings=who | dates)
    _archive(flows, commit, archive)
    return _hash(archive)


@contextmanager
def shipped(flows: Path) -> Iterator[Path]:
    """A folder with the files that a release of `flows` has; `flows` itself where nothing can be packed."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, flows.name)
        yield folder if _unpacked(flows, folder) else flows


def _unpacked(flows: Path, folder: Path) -> bool:
    archive = folder.with_suffix(".tar")
    try:
        _archive(flows, _tree(flows), archive)
    except DeployError:  # the name of a release says so
        return False
    with tarfile.open(archive) as tar:
        # Links are refused in any case, and must not lead out of here
        members = [member for member in tar if member.isfile() or member.isdir()]
        tar.extractall(folder, members, filter="data")
    return True


def unpack_needs(folder: Path, expected: str) -> list[Project]:
    """Take the locks and the lists of Debian packages out of the archive of `folder`, into `folder/projects`.

    Returns the projects that have a lock. Raises a DeployError if the archive's hash is not `expected`.
    """
    archive = folder / ARCHIVE
    if not archive.is_file():
        raise DeployError(f"{archive} is missing, which belongs to its manifest: run `{make_command('pack')}` again")
    if _hash(archive) != expected:
        raise DeployError(f"{archive} is not the archive that its manifest names: run `{make_command('pack')}` again")
    shutil.rmtree(folder / "projects", ignore_errors=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and re.fullmatch(r"[a-z][a-z0-9_]*/(requirements|apt)\.txt", member.name):
                file = folder / "projects" / member.name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(tar.extractfile(member).read())
    return [Project(lock.parent) for lock in sorted(folder.glob("projects/*/requirements.txt"))]


def _hash(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _archive(flows: Path, tree: str, archive: Path) -> None:
    # From the top: git archives only the part of a tree that is the current folder
    top = Path(_git(flows, "rev-parse", "--show-toplevel"))
    _git(top, "-c", "tar.umask=0022", "archive", "--format=tar", f"--output={archive.resolve()}", tree)


def _tree(flows: Path) -> str:
    """Git's name of what the folder holds. A scratch index takes in the working tree as it is, and leaves the user's
    index alone. It begins as that, as ignored files are left out, but for those that somebody has added.
    """
    with TemporaryDirectory() as scratch:
        index, users = Path(scratch, "index"), Path(flows, _git(flows, "rev-parse", "--git-path", "index"))
        if users.exists():
            shutil.copyfile(users, index)
        scratch_index = {"GIT_INDEX_FILE": str(index)}
        _git(flows, "add", "--all", "--", ".", settings=scratch_index)
        prefix = _git(flows, "rev-parse", "--show-prefix")
        return _git(flows, "write-tree", f"--prefix={prefix}", settings=scratch_index)


def _git(folder: Path, *arguments: str, settings: dict[str, str] | None = None) -> str:
    environment = os.environ | (settings or {})
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    except FileNotFoundError:
        raise DeployError("git is missing, which names and packs releases: install it") from None
    except subprocess.CalledProcessError as error:
        said = one_line(error.stderr)
        raise DeployError(f"a release is named after a commit, and git says in {folder}: {said}") from None
    return done.stdout.strip()
