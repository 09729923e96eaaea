"""Projects: the folders under `flows/`."""

import re
from dataclasses import dataclass
from pathlib import Path

from deployer.model.errors import DeployError, Problem

# Environments of the platform itself have these names
RESERVED = {"flows", "server", "worker"}
# The folder of a project's packages that no index has
WHEELS = "wheels"


@dataclass(frozen=True)
class Project:
    """One folder with flows, a `prefect.yaml` and a lock of its own."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def shown(self, file: str) -> str:
        """The name of one of its files in messages: `flows/shop/prefect.yaml`."""
        return f"{self.folder.parent.name}/{self.name}/{file}"


def system_packages(project: Project) -> tuple[list[str], list[Problem]]:
    """The Debian packages in a project's `apt.txt`, sorted, and a problem for every line that names no package."""
    file = project.folder / "apt.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    packages = {number: line.partition("#")[0].strip() for number, line in enumerate(lines, 1)}
    problems = [
        Problem(
            project.shown("apt.txt"), number, "", f"{package!r} does not name a Debian package: write one name a line"
        )
        for number, package in packages.items()
        if package and not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", package)
    ]
    return sorted({*packages.values()} - {""}), problems


def discover(flows: Path) -> tuple[list[Project], list[Problem]]:
    """Every project under `flows`, and the problems of its other folders. Raises a DeployError if it has neither."""
    if not flows.is_dir():
        raise DeployError(f"{flows} is not a folder: give the folder of the projects with --flows")
    projects, problems = [], []
    for folder in sorted(path for path in flows.iterdir() if path.is_dir() and path.name[0] not in "_."):
        project = Project(folder)
        if reason := _reason_against(project):
            problems.append(Problem(project.shown("prefect.yaml"), 1, "", reason))
        else:
            projects.append(project)
    problems += [
        Problem(f"{flows.name}/{name}.yaml", 1, "", f"is not read: rename it to {name}.yml")
        for name in ("resources", "targets")
        if (flows / f"{name}.yaml").exists()
    ]
    if not projects and not problems:
        raise DeployError(f"{flows} holds no project: add a folder with a prefect.yaml")
    return projects, problems


def find_project(flows: Path, name: str) -> Project:
    """The project called `name`. Raises a DeployError if the folder is missing, or not a project."""
    project = Project(flows / name)
    if not re.fullmatch(r"\w+", name) or not project.folder.is_dir():
        raise DeployError(f"there is no project {name!r} in {flows}")
    if reason := _reason_against(project):
        raise DeployError(f"{project.shown('prefect.yaml')}: {reason}")
    return project


def _reason_against(project: Project) -> str | None:
    """Why the folder is not a project; None if it is."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", project.name):
        return f"a project's folder is named with a-z, 0-9 and _, starting with a letter: rename {project.name!r}"
    if project.name in RESERVED:
        return f"{project.name!r} is the name of one of the platform's own environments: rename the folder"
    if not (project.folder / "prefect.yaml").is_file() and (project.folder / "prefect.yml").is_file():
        return "missing: rename prefect.yml to prefect.yaml"
    if not (project.folder / "prefect.yaml").is_file():
        return "missing: add it, or start the folder's name with _ if it is not a project"
    return None
