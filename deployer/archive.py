"""Releases: what `flows/` holds, named after its commit and packed for the workers."""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from deployer.errors import DeployError, Problem, one_line

# Files of settings that are no settings yet
EXAMPLES = (".env.example", ".env.sample", ".env.template")


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
    if file.name.startswith(".env") and file.name not in EXAMPLES:
        return "holds secrets, and would be on every worker: move them into the vault, and name the file in .gitignore"
    if file.name in ("vault.yml", "vault.yaml") and not file.read_bytes().startswith(b"$ANSIBLE_VAULT"):
        return "is a vault in plain text: ansible-vault encrypt it, and move it out of flows/"
    if any(sign in file.name for sign in "\n\r"):
        return "has a line break in its name: rename it"
    if file.is_symlink():
        return "is a link, which leads elsewhere on a worker: put the file itself there"
    if file.is_dir():
        return (
            "is a repository of its own, which a release leaves out: copy its files, or install it by requirements.in"
        )
    return None


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


def pack(flows: Path, folder: Path) -> Path:
    """Pack the working tree of `flows` into `folder`; returns the archive, which is named after its content."""
    folder.mkdir(parents=True, exist_ok=True)
    tree = _tree(flows)
    archive = folder / f"{tree}.tar"
    if not archive.exists():
        part = archive.with_suffix(f".{os.getpid()}.part")
        # From the folder above: git archives only the part of a tree that is the current folder
        _git(flows.parent, "-c", "tar.umask=0022", "archive", "--format=tar", f"--output={part.resolve()}", tree)
        part.rename(archive)
    return archive


def _tree(flows: Path) -> str:
    """Git's name of what the folder holds. A scratch index takes in the working tree as it is, ignored files left out,
    and leaves the user's index alone.
    """
    with TemporaryDirectory() as scratch:
        index = Path(scratch, "index")
        _git(flows, "add", "--all", "--", ".", index=index)
        return _git(flows, "write-tree", f"--prefix={_git(flows, 'rev-parse', '--show-prefix')}", index=index)


def _git(folder: Path, *arguments: str, index: Path | None = None) -> str:
    environment = os.environ | ({"GIT_INDEX_FILE": str(index)} if index else {})
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    except FileNotFoundError:
        raise DeployError("git is missing, which names and packs releases: install it") from None
    except subprocess.CalledProcessError as error:
        said = one_line(error.stderr)
        raise DeployError(f"a release is named after a commit, and git says in {folder}: {said}") from None
    return done.stdout.strip()
