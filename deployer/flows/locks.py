"""Locks: a project's requirements, each pinned and hashed."""

import functools
import hashlib
import re
from pathlib import Path

from deployer.flows.project import Project
from deployer.model.errors import Problem

_COMPILE = "`uv pip compile --universal --generate-hashes --no-header --python-version 3.11 {stem}.in -o {stem}.txt`"


def lock_hash(lock: Path) -> str:
    """The hash in the names of environments: 12 hexadecimal digits."""
    return hashlib.sha256(lock.read_bytes()).hexdigest()[:12]


def check_lock(project: Project, stem: str = "requirements") -> list[Problem]:
    """The problems of `<stem>.txt`: every requirement must be pinned and hashed, and no index named."""
    shown, lock = project.shown(f"{stem}.txt"), project.folder / f"{stem}.txt"
    mend = f"write it with {_COMPILE.format(stem=stem)}"
    if not lock.is_file():
        return [Problem(shown, 1, "", f"missing: {mend}")]
    try:
        text = lock.read_text(encoding="utf-8")
        source = lock.with_suffix(".in")
        source_text = source.read_text(encoding="utf-8") if source.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        return [Problem(shown, 1, "", f"cannot be read ({error}): {mend}")]
    reasons = [*_reasons(text, stem)]
    for _, requirement in _requirements(source_text):
        # A requirement with a condition may rightly be left out
        if not requirement.startswith("-") and ";" not in requirement and _name(requirement) not in _names(text):
            reasons.append((1, f"{_name(requirement)} of {source.name} is missing"))
    return [Problem(shown, line, "", f"{reason}: {mend}") for line, reason in reasons]


# Projects often share a lock
@functools.cache
def _reasons(lock: str, stem: str) -> list[tuple[int, str]]:
    reasons = []
    for line, text in _requirements(lock):
        requirement = text.split(" --hash", maxsplit=1)[0].strip()
        if text.startswith("-"):
            reasons.append((line, f"{text.split()[0]} does not belong in a lock"))
        elif "==" not in requirement:
            reasons.append((line, f"{requirement!r} is not pinned"))
        elif "--hash=" not in text:
            reasons.append((line, f"{requirement!r} has no hash"))
    if not reasons and "prefect" not in _names(lock):
        reasons.append((1, f"prefect is missing, which runs the flows: add it to {stem}.in"))
    return reasons


@functools.cache
def _names(lock: str) -> frozenset[str]:
    return frozenset(_name(requirement) for _, requirement in _requirements(lock))


def _name(requirement: str) -> str:
    """The package's name, normalized."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def _requirements(lock: str) -> list[tuple[int, str]]:
    """A lock's requirements with the line of their start; a backslash continues a requirement on the next line."""
    requirements: list[tuple[int, str]] = []
    continues = False
    for number, raw in enumerate(lock.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        text = line.removesuffix("\\")
        if continues:
            start, before = requirements[-1]
            requirements[-1] = (start, f"{before} {text}")
        elif line:
            requirements.append((number, text))
        continues = line.endswith("\\")
    return requirements
