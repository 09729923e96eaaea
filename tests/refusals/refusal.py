"""What is run, and what a person reads when it is refused."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from speed import speed

ROOT = Path(__file__).parents[2]
# Says how far things got: headings, the recap, make's own last words.
PROGRESS = re.compile(r"PLAY |\S+ +: ok=|make(\[\d+\])?: ")
MADE_BY_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")


def vault(password: str) -> VaultLib:
    """What reads and writes files that are encrypted with the password."""
    return VaultLib([("default", VaultSecret(password.encode()))])


@cache
def lab_secrets() -> dict[str, str]:
    """What the vault of the lab holds."""
    lab = Path(os.environ["LAB_DIR"])
    password = (lab / "vault-password").read_text().strip()
    return yaml.safe_load(vault(password).decrypt((lab / "vault.yml").read_bytes()))


@dataclass(frozen=True)
class Answer:
    """How a command ended, and all that it wrote."""

    code: int
    output: str = field(repr=False)

    def tells(self, *words: str) -> None:
        """The command was refused, one line says so with these words, and no secret shows."""
        assert not [name for name, secret in lab_secrets().items() if _shows(secret, self.output)]
        lines = [line for line in self.output.splitlines() if line and not PROGRESS.match(line)]
        assert self.code != 0, lines
        assert len(lines) == 1, lines
        assert not [word for word in words if word not in lines[0]], lines[0]

    def changed_nothing_on(self, host: str) -> None:
        """The recap says of the host that nothing changed."""
        assert re.search(rf"^{re.escape(host)} +: .* changed=0 ", self.output, re.MULTILINE)


def _shows(secret: str, text: str) -> bool:
    # A key has lines; the first and the last are the same in every key
    return any(line in text for line in secret.splitlines() if not line.startswith("-----"))


def run(*command: str | Path, **settings: str) -> Answer:
    """Run a command in the clone, as a person would."""
    environment = {name: value for name, value in os.environ.items() if name not in MADE_BY_MAKE} | settings
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, timeout=60 * speed(), **streams)
    return Answer(done.returncode, done.stdout)


@dataclass
class Environment:
    """An environment of its own: what its inventory holds, to be spoilt before it is used."""

    folder: Path
    hosts: dict
    variables: dict
    secrets: dict = field(repr=False)
    encrypted_with: str = field(repr=False, default="the right password")
    opened_with: str = field(repr=False, default="the right password")

    def make(self, *goals: str) -> Answer:
        """Run make for it."""
        everywhere = self.folder / "group_vars/all"
        everywhere.mkdir(parents=True)
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(self.hosts))
        (everywhere / "main.yml").write_text(yaml.safe_dump(self.variables))
        (everywhere / "vault.yml").write_bytes(vault(self.encrypted_with).encrypt(yaml.safe_dump(self.secrets)))
        (self.folder / ".vault-password").write_text(self.opened_with)
        # make takes the inventory for a folder of the clone
        inventory = os.path.relpath(self.folder, ROOT)
        return run(
            "make", *goals, f"ENV={self.folder.name}", f"inventory={inventory}", f"STATE_DIR={self.folder}.state"
        )
