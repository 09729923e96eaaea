"""Environments of projects on the control machine, built from their locks."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from deployer.flows.locks import check_lock, lock_hash
from deployer.flows.project import WHEELS, Project
from deployer.model.errors import DeployError, one_line

CACHE = Path(__file__).parents[2] / ".cache" / "envs"
UV = Path(sys.executable).with_name("uv")


def environment_python(project: Project, dev: bool = False) -> Path:
    """The Python of a project's environment, built first if none exists for its present lock.

    With `dev`, the environment also has what the project's tests need. Raises a DeployError for a lock with problems.
    """
    stem = "requirements-dev" if dev else "requirements"
    if problems := check_lock(project, stem):
        raise DeployError("\n".join(map(str, problems)))
    lock = project.folder / f"{stem}.txt"
    # Projects with the same lock share an environment
    environment = CACHE / lock_hash(lock)
    complete = environment / ".complete"
    if not complete.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # One process builds, others wait; the kernel frees the lock of a builder that dies
        with environment.with_suffix(".lock").open("w") as build_lock:
            fcntl.flock(build_lock, fcntl.LOCK_EX)
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
        completed = subprocess.run([UV, *arguments], capture_output=True, text=True)  # noqa: S603 - fixed program
    except FileNotFoundError:
        raise DeployError(f"{UV} is missing: run this with the control machine's .venv/bin/python") from None
    if completed.returncode:
        raise DeployError(f"uv {arguments[0]} failed for {arguments[-1]}: {one_line(completed.stderr)}")
