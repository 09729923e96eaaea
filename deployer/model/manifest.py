"""What a release wants the server to hold: plain values, kept with the release, so that it can be gone back to."""

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deployer.commands import make_command
from deployer.model.errors import DeployError


def check_release(name: str) -> None:
    """Raises a DeployError for what cannot name a release: the name is part of paths on the workers."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise DeployError(f"{name!r} cannot name a release: use letters, digits, '.', '_' and '-'")


@dataclass(frozen=True)
class Resource:
    """One thing on the server: `kind` is one of those in `deployer.kinds`, `fields` are Prefect's own, as JSON."""

    kind: str
    name: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class State:
    """All that a release wants. `owner` is the mark of what this repository registers for this target."""

    release: str
    owner: str
    resources: list[Resource]
    # names of the blocks that must have a value, by kind; no kind at all: blocks are another target's
    blocks: dict[str, list[str]] = field(default_factory=dict)
    # SHA-256 of the archive that holds its code
    archive: str = ""

    def __post_init__(self) -> None:
        check_release(self.release)

    def write(self, file: Path) -> None:
        """Keep it as JSON."""
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        part.rename(file)


def read(file: Path) -> State:
    """What `State.write` kept."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        resources = [Resource(**each) for each in kept["resources"]]
        return State(kept["release"], kept["owner"], resources, kept["blocks"], kept.get("archive", ""))
    except (OSError, ValueError, KeyError, TypeError) as error:
        pack = make_command("pack")
        raise DeployError(f"{file} is not the manifest of a release ({error}): `{pack}` makes one") from None
