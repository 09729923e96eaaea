"""The rules that every project must meet before anything is registered. No server is needed."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from prefect.utilities.schema_tools import hydrate, validate
from prefect.utilities.schema_tools.hydration import Placeholder

from deployer.declaration import Declaration, declarations
from deployer.document import Document, Location
from deployer.environment import check_lock
from deployer.errors import DeployError, Problem
from deployer.inspection import Flow, inspect
from deployer.project import Project, discover

PythonOf = Callable[[Project], Path]
Progress = Callable[[str], None]

PARALLEL = 2


@dataclass(frozen=True)
class Deployment:
    """A declaration together with the flow it runs."""

    project: Project
    declaration: Declaration
    flow: Flow


@dataclass
class _Checked:
    project: Project
    document: Document
    # The flow is None where it could not be imported
    declared: list[tuple[Declaration, Flow | None]]
    problems: list[Problem]


def check(
    flows: Path, pools: Collection[str], python_of: PythonOf, progress: Progress
) -> tuple[list[Deployment], list[Problem]]:
    """Every deployment of every project, and all that is wrong with them; with `pools`, only those may be used."""
    projects, problems = discover(flows)

    def one(project: Project) -> _Checked:
        progress(f"{project.name}: checking")
        return _check_project(project, pools, python_of)

    with ThreadPoolExecutor(PARALLEL) as executor:
        checked = list(executor.map(one, projects))
    _unique(checked)
    for each in checked:
        problems += each.problems + each.document.problems
    deployments = [Deployment(each.project, one, flow) for each in checked for one, flow in each.declared if flow]
    return deployments, sorted(problems)


def _check_project(project: Project, pools: Collection[str], python_of: PythonOf) -> _Checked:
    document = Document(project.folder / "prefect.yaml", project.shown("prefect.yaml"))
    declared = declarations(document, project.folder)
    for one in declared:
        if pools and one.pool not in pools:
            where = (*one.location, "work_pool")
            document.refuse(
                (*where, "name") if document.has((*where, "name")) else where,
                f"there is no pool {one.pool!r}: the pools are {', '.join(sorted(pools))}",
            )
    problems = check_lock(project)
    entrypoints = {one.entrypoint for one in declared if one.entrypoint}
    flows: dict[str, Flow | str] = {}
    if entrypoints and not problems:
        try:
            flows = inspect(python_of(project), project.folder, entrypoints)
        except DeployError as error:
            problems.append(Problem(project.shown("requirements.txt"), 1, "", str(error)))
    checked = _Checked(project, document, [], problems)
    for one in declared:
        flow = flows.get(one.entrypoint or "")
        if isinstance(flow, str):
            document.refuse((*one.location, "entrypoint"), f"{one.entrypoint!r} cannot be imported: {flow}")
            flow = None
        if flow:
            _check_against_flow(document, one, flow)
        checked.declared.append((one, flow))
    return checked


def _check_against_flow(document: Document, declared: Declaration, flow: Flow) -> None:
    if declared.flow_name not in (None, flow.name):
        document.refuse((*declared.location, "flow_name"), f"the flow calls itself {flow.name!r}: remove it")
    own = (*declared.location, "parameters")
    _check_parameters(document, own, declared.parameters, {}, declared, flow)
    for location, schedule in declared.schedules.items():
        where = (*location, "parameters")
        _check_parameters(document, where, schedule.create.parameters, declared.parameters, declared, flow)


def _check_parameters(
    document: Document, at: Location, given: dict[str, Any], beneath: dict[str, Any], declared: Declaration, flow: Flow
) -> None:
    """Hold `given`, on top of the values `beneath`, against the flow's schema.

    What is required may be missing from a deployment, for a run can still give it; a schedule's run cannot.
    """
    scheduled = at[:-1] != declared.location
    known = flow.parameters.get("properties", {})
    for name in given.keys() - known.keys():
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known) or 'none'}"
        document.refuse((*at, name), f"is not a parameter of the flow {flow.name!r}: {hint}")
    values = beneath | given
    if missing := [name for name in flow.parameters.get("required", []) if scheduled and name not in values]:
        document.refuse(at, f"the flow {flow.name!r} needs {', '.join(missing)}: give it here or in the deployment")
    if declared.enforce_parameter_schema:
        # As the server does it: references to variables are filled in when a run is made
        for error in validate(hydrate(given), flow.parameters, ignore_required=True):
            if not isinstance(error.instance, Placeholder):
                document.refuse((*at, *error.absolute_path), error.message)


def _unique(checked: list[_Checked]) -> None:
    """On a server a deployment is known by its flow's name and its own, whatever project it comes from."""
    first: dict[tuple[str, str], str] = {}
    for each in checked:
        for declared, flow in each.declared:
            if not (declared.name and declared.entrypoint):
                continue
            where = (*declared.location, "name")
            key = (flow.name if flow else f"{each.project.name}/{declared.entrypoint}", declared.name)
            if key in first:
                each.document.refuse(where, f"{'/'.join(key)!r} is also declared in {first[key]}: rename one of them")
            first.setdefault(key, f"{each.document.shown}:{each.document.line(where)}")
