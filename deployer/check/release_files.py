"""No release may hold secrets in plain text, or files that are others on the workers than here."""

import os
import re
from pathlib import Path

from deployer.flows.git import git
from deployer.model.errors import DeployError, Problem, one_line

# Files of settings that hold no settings yet
EXAMPLES = (".env.example", ".env.sample", ".env.template")
# Keys by their names; those in text are known by their first line, however the file is called
KEYS = (".key", ".p12", ".pfx")
PRIVATE_KEY = re.compile(rb"^-----BEGIN [A-Z ]*PRIVATE KEY-----", re.MULTILINE)


def check_release_files(flows: Path) -> list[Problem]:
    """The problems of the files that a release of `flows` would hold."""
    try:
        listed = git(flows, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    except DeployError:  # nothing can be packed here: release_id reports it
        return []
    files = {name: flows / name for name in listed.split("\0")[:-1] if os.path.lexists(flows / name)}
    return [
        Problem(f"{flows.name}/{one_line(name)}", 1, "", reason)
        for name, file in files.items()
        if (reason := _reason_against(file))
    ]


def _reason_against(file: Path) -> str | None:
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
    """Whether the file is a private key. A text about keys does not begin with one; in a .pem a certificate may."""
    find = PRIVATE_KEY.search if file.suffix == ".pem" else PRIVATE_KEY.match
    with file.open("rb") as content:
        return find(content.read(1 << 20)) is not None
