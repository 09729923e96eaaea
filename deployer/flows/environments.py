"""Locks, and the environments built from them on the control machine."""

import fcntl
import functools
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from deployer.flows.project import Project
from deployer.model.errors import DeployError, Problem, one_line

CACHE = Path(__file__).parents[2] / ".cache" / "envs"
UV = Path(sys.executable).with_name("uv")
# A project's own packages, and others that no index has
WHEELS = "wheels"

_COMPILE = "`uv pip compile --universal --generate-hashes --no-header --python-version 3.11 {stem}.in -o {stem}.txt`"


def lock_hash(lock: Path) -> str:
    """What tells one version of a lock from another, in the names of environments."""
    return hashlib.sha256(lock.read_bytes()).hexdigest()[:12]


def check_lock(project: Project, stem: str = "requirements") -> list[Problem]:
    """What is wrong with a project's lock: every requirement must be pinned and hashed, and no index named."""
    shown, lock = project.shown(f"{stem}.txt"), project.folder / f"{stem}.txt"
    mend = f"write it with {_COMPILE.format(stem=stem)}"
    if not lock.is_file():
        return [Problem(shown, 1, "", f"missing: {mend}")]
    try:
        text = lock.read_text(encoding="utf-8")
        source = lock.with_suffix(".in")
        asked = source.read_text(encoding="utf-8") if source.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        return [Problem(shown, 1, "", f"cannot be read ({error}): {mend}")]
    wrong = _wrong(text, stem)
    for _, requirement in _requirements(asked):
        # One with a condition may rightly be left out
        if not requirement.startswith("-") and ";" not in requirement and _name(requirement) not in _names(text):
            wrong = [*wrong, (1, f"{_name(requirement)} of {source.name} is missing")]
    return [Problem(shown, line, "", f"{said}: {mend}") for line, said in wrong]


# Projects often share a lock
@functools.cache
def _wrong(lock: str, stem: str) -> list[tuple[int, str]]:
    problems = []
    for line, text in _requirements(lock):
        requirement = text.split(" --hash", maxsplit=1)[0].strip()
        if text.startswith("-"):
            problems.append((line, f"{text.split()[0]} does not belong in a lock"))
        elif "==" not in requirement:
            problems.append((line, f"{requirement!r} is not pinned"))
        elif "--hash=" not in text:
            problems.append((line, f"{requirement!r} has no hash"))
    if not problems and "prefect" not in _names(lock):
        problems.append((1, f"prefect is missing, which runs the flows: add it to {stem}.in"))
    return problems


@functools.cache
def _names(lock: str) -> frozenset[str]:
    return frozenset(_name(requirement) for _, requirement in _requirements(lock))


def _name(requirement: str) -> str:
    """The package's name, in its one normal form."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def _requirements(lock: str) -> list[tuple[int, str]]:
    """A lock's requirements with the line each starts on; a backslash carries one over to the next line."""
    found: list[tuple[int, str]] = []
    carried = False
    for number, raw in enumerate(lock.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        text = line.removesuffix("\\")
        if carried:
            start, before = found[-1]
            found[-1] = (start, f"{before} {text}")
        elif line:
            found.append((number, text))
        carried = line.endswith("\\")
    return found


def python(project: Project, dev: bool = False) -> Path:
    """The Python of a project's environment, built first if there is none for its present lock."""
    stem = "requirements-dev" if dev else "requirements"
    if problems := check_lock(project, stem):
        raise DeployError("\n".join(map(str, problems)))
    lock = project.folder / f"{stem}.txt"
    # Projects with the same lock share one
    environment = CACHE / lock_hash(lock)
    complete = environment / ".complete"
    if not complete.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # One builds, others wait; the kernel lets go of the lock whatever becomes of the builder
        with environment.with_suffix(".lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if not complete.exists():
                print(f"{project.name}: building the environment of {project.shown(lock.name)}", file=sys.stderr)
                _build(environment, lock, project.folder / WHEELS)
                complete.touch()
    return environment / "bin" / "python"


def _build(environment: Path, lock: Path, wheels: Path) -> None:
    if environment.exists():
        shutil.rmtree(environment)
    executable = environment / "bin" / "python"
    _uv("venv", "--quiet", "--no-project", "--python", sys.executable, str(environment))
    options = ["--require-hashes", "--compile-bytecode", "--python", str(executable)]
    if wheels.is_dir():
        options += ["--find-links", str(wheels)]
    _uv("pip", "sync", "--quiet", *options, str(lock))


def _uv(*arguments: str) -> None:
    try:
        done = subprocess.run([UV, *arguments], capture_output=True, text=True)  # noqa: S603 - fixed program
    except FileNotFoundError:
        raise DeployError(f"{UV} is missing: run this with the control machine's .venv/bin/python") from None
    if done.returncode:
        raise DeployError(f"uv {arguments[0]} failed for {arguments[-1]}: {one_line(done.stderr)}")
