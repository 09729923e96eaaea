"""Projects as the rules see them: their declarations, with the flows as they are in the release."""

import re
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deployer.files.document import Document, is_unstorable
from deployer.files.prefect_yaml import Declaration, read_declarations
from deployer.files.targets_yml import TargetsFile
from deployer.flows.inspection import Answers, Flow, inspect
from deployer.flows.locks import check_lock
from deployer.flows.project import WHEELS, Project, discover, system_packages
from deployer.flows.release import release_files
from deployer.model.errors import DeployError, Problem

THREADS = 2
_LEFT_OUT = "is not in the release, as git ignores it: take it out of .gitignore, or `git add --force` it"


@dataclass(frozen=True)
class Deployment:
    """A declaration together with the flow it runs."""

    project: Project
    declaration: Declaration
    flow: Flow

    @property
    def name(self) -> str:
        """`<flow>/<deployment>`, without the target's prefix."""
        return f"{self.flow.name}/{self.declaration.name}"


@dataclass
class DeclaredProject:
    """A project with what it declares; `problems` are those of other files than its `prefect.yaml`."""

    project: Project
    document: Document
    # The flow is None if it could not be imported
    declared: list[tuple[Declaration, Flow | None]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    python: Path | None = None

    @property
    def entrypoints(self) -> list[str]:
        """The entrypoints of its declarations."""
        return [declaration.entrypoint for declaration, _ in self.declared if declaration.entrypoint]

    @property
    def deployments(self) -> list[Deployment]:
        """Its declarations whose flow was imported."""
        return [Deployment(self.project, declaration, flow) for declaration, flow in self.declared if flow]


def read_projects(
    flows: Path, targets: TargetsFile, python_of: Callable[[Project], Path]
) -> tuple[list[DeclaredProject], list[Problem]]:
    """Every project under `flows` with its declarations for the target, and the problems of other folders.

    Raises a DeployError if there is neither.
    """
    projects, problems = discover(flows)
    with ThreadPoolExecutor(THREADS) as executor:
        return list(executor.map(lambda project: _read(project, targets, python_of), projects)), problems


def _read(project: Project, targets: TargetsFile, python_of: Callable[[Project], Path]) -> DeclaredProject:
    document = Document(project.folder / "prefect.yaml", project.shown("prefect.yaml"))
    declarations = read_declarations(document, project.folder)
    read = DeclaredProject(
        project,
        document,
        [(declaration, None) for declaration in declarations if targets.includes(declaration)],
        check_lock(project) + system_packages(project)[1],
    )
    if not read.problems and read.entrypoints:
        try:
            read.python = python_of(project)
        except DeployError as error:
            read.problems.append(Problem(project.shown("requirements.txt"), 1, "", str(error)))
    return read


def import_flows(projects: list[DeclaredProject], flows: Path) -> None:
    """Fill in the flows of the projects, as they are in a release of `flows`; those of one environment together."""
    with release_files(flows) as release:
        by_python: dict[Path, list[DeclaredProject]] = defaultdict(list)
        for project in projects:
            if project.python and _is_complete(project, release):
                by_python[project.python].append(project)
        with ThreadPoolExecutor(THREADS) as executor:
            list(executor.map(lambda python: _import(python, by_python[python], release), by_python))


def _import(python: Path, projects: list[DeclaredProject], release: Path) -> None:
    folders = {release / project.project.name: project for project in projects}
    answers = inspect(python, {folder: project.entrypoints for folder, project in folders.items()})
    for folder, project in folders.items():
        project.declared = [
            (declaration, _flow(project, declaration, answers[folder], folder)) for declaration, _ in project.declared
        ]


def _is_complete(declared: DeclaredProject, release: Path) -> bool:
    """Whether the release has the files that the platform itself reads; adds a problem for those it lacks."""
    project = declared.project
    needed = ["prefect.yaml", "requirements.txt", "apt.txt"]
    needed += [entrypoint.rpartition(":")[0] for entrypoint in declared.entrypoints]
    needed += [f"{WHEELS}/{wheel.name}" for wheel in sorted(project.folder.glob(f"{WHEELS}/*.whl"))]
    left_out = [
        name
        for name in dict.fromkeys(needed)
        if (project.folder / name).exists() and not (release / project.name / name).exists()
    ]
    declared.problems += [Problem(project.shown(name), 1, "", _LEFT_OUT) for name in left_out]
    return not left_out


def _flow(project: DeclaredProject, declaration: Declaration, answers: Answers, folder: Path) -> Flow | None:
    flow, where = answers.get(declaration.entrypoint or ""), (*declaration.location, "entrypoint")
    if isinstance(flow, str):
        left_out = _left_out_files(project.project, folder, flow)
        hint = f"; {left_out[-1]} {_LEFT_OUT}" if left_out else ""
        project.document.add_problem(where, f"{declaration.entrypoint!r} cannot be imported: {flow}{hint}")
        return None
    if flow and is_unstorable(asdict(flow)):
        reason = "the flow's name, description or a default holds a NUL or half a character: take it out"
        project.document.add_problem(where, reason)
    return flow


def _left_out_files(project: Project, folder: Path, error: str) -> list[str]:
    """The project's files that the release in `folder` lacks and an error names."""
    words = set(re.findall(r"\w+", error))
    return [
        str(file.relative_to(project.folder))
        for file in sorted(project.folder.rglob("*"))
        if file.stem in words and "__pycache__" not in file.parts
        if not (folder / file.relative_to(project.folder)).exists()
    ]
