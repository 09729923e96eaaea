"""The manifest of a release: plain values that the server should hold. It is kept with the release, for rollbacks."""

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deployer.commands import make_command
from deployer.model.errors import DeployError


def check_release(name: str) -> None:
    """Raises a DeployError for a name that no release can have: the name is part of paths on the workers."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise DeployError(f"{name!r} cannot name a release: use letters, digits, '.', '_' and '-'")


@dataclass(frozen=True)
class Resource:
    """One resource of the server: `kind` is a title of `deployer.server.kinds`, `fields` are Prefect's own, as JSON."""

    kind: str
    name: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """All resources of a release. `owner` marks what this repository registers for this target."""

    release: str
    owner: str
    resources: list[Resource]
    # names of the blocks that must have a value, by kind; empty if another target registers the blocks
    blocks: dict[str, list[str]] = field(default_factory=dict)
    # SHA-256 of the archive that holds its code
    archive: str = ""

    def __post_init__(self) -> None:
        check_release(self.release)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Manifest":
        """The manifest of an object that `asdict` made. Raises a KeyError or TypeError for any other object."""
        resources = [Resource(**resource) for resource in kept["resources"]]
        return cls(kept["release"], kept["owner"], resources, kept["blocks"], kept.get("archive", ""))

    def write(self, file: Path) -> None:
        """Keep it as JSON."""
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        part.rename(file)


def read_manifest(file: Path) -> Manifest:
    """The manifest that `Manifest.write` kept. Raises a DeployError if the file holds none."""
    try:
        return Manifest.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        pack = make_command("pack")
        raise DeployError(f"{file} is not the manifest of a release ({error}): `{pack}` makes one") from None
