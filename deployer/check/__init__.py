"""The rules that everything under `flows/` must meet before anything is registered. No server is needed."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from prefect.utilities.schema_tools import hydrate, validate
from prefect.utilities.schema_tools.hydration import Placeholder
from prefect.utilities.templating import find_placeholders

from deployer.check import dates
from deployer.check.passwords import passwords
from deployer.files.document import Document, Location, unstorable
from deployer.files.fields import mismatch
from deployer.files.inventory import Inventory
from deployer.files.prefect_yaml import Declaration, declarations
from deployer.files.resources_yml import FILE, Resources, declared
from deployer.files.schedules import KINDS
from deployer.files.targets_yml import Targets
from deployer.flows.environments import WHEELS, check_lock
from deployer.flows.inspection import Flow, inspect
from deployer.flows.project import Project, discover, system_packages
from deployer.flows.release import check_files, shipped
from deployer.model.errors import DeployError, Problem
from deployer.server.kinds.automations import Automations, references
from deployer.server.kinds.blocks import SecretBlocks
from deployer.server.kinds.variables import Variables
from deployer.server.kinds.work_pools import WorkPools, WorkQueues

PythonOf = Callable[[Project], Path]

PARALLEL = 2
LEFT_OUT = "is not in the release, as git ignores it: take it out of .gitignore, or `git add --force` it"
# How a parameter of a flow says, in its JSON schema, that its value names a Secret block
SECRET_FORMAT = "secret-block"  # noqa: S105 - a format, not a secret
# Every change of a run's state is an event, which may name 100 things: its tags, and the run's flow, deployment, pool,
# queue, creator and parent. The server adds a tag of its own, and flows add theirs.
MOST_TAGS = 90
# Bytes of JSON that the server takes as the parameters of a deployment, a schedule or a run
MOST_PARAMETERS = 524_288
PLAIN = "looks like a password, which all who open the UI can read: keep it in the vault, and name it in resources.yml"


@dataclass(frozen=True)
class Deployment:
    """A declaration together with the flow it runs."""

    project: Project
    declaration: Declaration
    flow: Flow


@dataclass
class Checked:
    """Everything under `flows/` that belongs into the target, all that is wrong with it, and what is better mended."""

    deployments: list[Deployment]
    resources: Resources
    targets: Targets
    problems: list[Problem]
    warnings: list[Problem]


@dataclass
class _Project:
    project: Project
    document: Document
    # The flow is None where it could not be imported
    declared: list[tuple[Declaration, Flow | None]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    python: Path | None = None


def check(flows: Path, target: str | None, inventory: Inventory | None, python_of: PythonOf) -> Checked:
    """Read all files, import all flows, and hold them against each other; with `target`, also against its mode."""
    targets, resources = Targets(flows, target), declared(flows)
    found, problems = discover(flows)
    with ThreadPoolExecutor(PARALLEL) as executor:
        projects = list(executor.map(lambda project: _read(project, targets, python_of), found))
    with shipped(flows) as release:
        _import(projects, release)
    for each in projects:
        for one, flow in each.declared:
            _check_names(each.document, one, resources, inventory, targets)
            _check_sizes(each.document, one, flow, targets)
            _warn(each.document, (*one.location, "work_pool", "job_variables"), passwords(one.job_variables))
            if flow:
                _check_against_flow(each.document, one, flow, resources, targets)
                targets.check(each.document, one, f"{flow.name}/{one.name}")
    _check_schedules(projects)
    _unique(projects)
    deployments = [Deployment(each.project, one, flow) for each in projects for one, flow in each.declared if flow]
    _check_automations(resources, deployments)
    _check_target(targets, resources, inventory, deployments)
    for at, resource in resources.resources.items():
        if resource.kind == Variables.title:
            named = {resource.name: resource.fields["value"]}
            _warn(resources.document, (*at, "value"), (where[1:] for where in passwords(named)))
    for each in projects:
        problems += each.problems
    documents = [*(each.document for each in projects), resources.document, targets.document]
    problems += [problem for document in documents for problem in document.problems]
    problems += check_files(flows)
    warnings = [warning for document in documents for warning in document.warnings]
    return Checked(deployments, resources, targets, sorted(problems), sorted(warnings))


def _read(project: Project, targets: Targets, python_of: PythonOf) -> _Project:
    document = Document(project.folder / "prefect.yaml", project.shown("prefect.yaml"))
    read = _Project(project, document, problems=check_lock(project) + system_packages(project)[1])
    read.declared = [(one, None) for one in declarations(document, project.folder) if targets.takes(one)]
    if not read.problems and any(one.entrypoint for one, _ in read.declared):
        try:
            read.python = python_of(project)
        except DeployError as error:
            read.problems.append(Problem(project.shown("requirements.txt"), 1, "", str(error)))
    return read


def _import(projects: list[_Project], release: Path) -> None:
    """Ask the flows what they are, as they are in `release`, those of the same environment together."""
    together: dict[Path, list[_Project]] = defaultdict(list)
    for each in projects:
        if each.python and _complete(each, release):
            together[each.python].append(each)

    def ask(python: Path) -> None:
        asked = {
            release / each.project.name: [one.entrypoint for one, _ in each.declared if one.entrypoint]
            for each in together[python]
        }
        answers = inspect(python, asked)
        for each in together[python]:
            folder = release / each.project.name
            each.declared = [(one, _flow(each, one, answers[folder], folder)) for one, _ in each.declared]

    with ThreadPoolExecutor(PARALLEL) as executor:
        list(executor.map(ask, together))


def _complete(read: _Project, release: Path) -> bool:
    """Whether the release has what the platform itself reads of a project."""
    project = read.project
    needed = ["prefect.yaml", "requirements.txt", "apt.txt"]
    needed += [one.entrypoint.rpartition(":")[0] for one, _ in read.declared if one.entrypoint]
    needed += [f"{WHEELS}/{wheel.name}" for wheel in sorted(project.folder.glob(f"{WHEELS}/*.whl"))]
    left_out = [
        name
        for name in dict.fromkeys(needed)
        if (project.folder / name).exists() and not (release / project.name / name).exists()
    ]
    for name in left_out:
        read.problems.append(Problem(project.shown(name), 1, "", LEFT_OUT))
    return not left_out


def _flow(read: _Project, declared: Declaration, answers: dict[str, Flow | str], folder: Path) -> Flow | None:
    flow, where = answers.get(declared.entrypoint or ""), (*declared.location, "entrypoint")
    if isinstance(flow, str):
        left_out = _left_out(read.project, folder, flow)
        hint = f"; {left_out[-1]} {LEFT_OUT}" if left_out else ""
        read.document.refuse(where, f"{declared.entrypoint!r} cannot be imported: {flow}{hint}")
        return None
    if flow and unstorable(asdict(flow)):
        reason = "the flow's name, description or a default holds a NUL or half a character: take it out"
        read.document.refuse(where, reason)
    return flow


def _left_out(project: Project, folder: Path, said: str) -> list[str]:
    """The project's files that the release in `folder` lacks and an error names."""
    words = set(re.findall(r"\w+", said))
    return [
        str(file.relative_to(project.folder))
        for file in sorted(project.folder.rglob("*"))
        if file.stem in words and "__pycache__" not in file.parts
        if not (folder / file.relative_to(project.folder)).exists()
    ]


def _check_names(
    document: Document,
    declared: Declaration,
    resources: Resources,
    inventory: Inventory | None,
    targets: Targets,
) -> None:
    """The pool, its queue, the secrets and the variables a deployment names must be declared."""
    instead = targets.target.work_pool if targets.target else None
    if not instead:  # the target's own is held against the pools apart
        _check_pool(document, declared, resources, inventory)
    queue = f"{instead or declared.pool}/{declared.queue}"
    # Every pool has the default one
    if declared.queue not in (None, "default") and queue not in resources.names(WorkQueues.title):
        where = (*declared.location, "work_pool", "work_queue_name")
        pool, _, name = queue.rpartition("/")
        document.refuse(where, f"the pool {pool!r} has no queue {name!r}: add it to the pool's work_queues in {FILE}")
    for at, text in declared.templates:
        for placeholder in find_placeholders(text):
            if placeholder.name.startswith("ctx.") and at[-2:] == ("job_variables", "name"):
                continue  # a run's own values, of which its process is called
            parts = placeholder.name.split(".")
            kind, name = {
                ("prefect", "blocks", "secret"): (SecretBlocks.title, ".".join(parts[3:4])),
                ("prefect", "variables"): (Variables.title, ".".join(parts[2:])),
            }.get(tuple(parts[: 3 if parts[1:2] == ["blocks"] else 2]), ("", ""))
            if not kind:
                known = "{{ prefect.blocks.secret.… }} and {{ prefect.variables.… }}"
                document.refuse(at, f"nothing fills in {placeholder.full_match}: a worker knows {known}")
            elif name not in resources.names(kind):
                document.refuse(at, f"the {kind} {name!r} is not declared: add it to {kind}s in {FILE}")


def _check_pool(document: Document, declared: Declaration, resources: Resources, inventory: Inventory | None) -> None:
    where = (*declared.location, "work_pool")
    where = (*where, "name") if document.has((*where, "name")) else where
    if not inventory:  # which knows what hosts serve: `take` holds the release against it
        return
    pools = resources.names(WorkPools.title) | set(inventory.work_pools)
    if declared.pool not in pools:
        document.refuse(where, _no_pool(declared.pool, pools))
    elif declared.pool not in inventory.work_pools:
        document.refuse(where, _not_served(declared.pool, inventory.work_pools))


def _no_pool(name: str, pools: Iterable[str]) -> str:
    known = f"the pools are {', '.join(sorted(pools))}; or " if pools else ""
    return f"there is no pool {name!r}: {known}add it to work_pools in {FILE}"


def _not_served(name: str, pools: Iterable[str]) -> str:
    served = ", ".join(sorted(pools)) or "none"
    return f"no worker of this environment serves the pool {name!r}: served are {served}"


def _check_sizes(document: Document, declared: Declaration, flow: Flow | None, targets: Targets) -> None:
    """What the server takes, and then cannot make a run of."""
    tags = {*declared.tags, *(targets.target.tags if targets.target else ())}
    if len(tags) > MOST_TAGS:
        reason = f"are {len(tags)} with those of the target, and a run bears {MOST_TAGS}: take some away"
        document.refuse((*declared.location, "tags"), reason)
    everywhere = declared.parameters | (targets.parameters(flow.name) if flow else {})
    for location, given in [
        (declared.location, everywhere),
        *((location, everywhere | schedule.parameters) for location, schedule in declared.schedules.items()),
    ]:
        size = len(json.dumps(given, separators=(",", ":")))
        if size > MOST_PARAMETERS:
            reason = f"a run would have {size:,} bytes of parameters, and the server takes {MOST_PARAMETERS:,}: "
            document.refuse((*location, "parameters"), reason + "put them into a file or a variable")
            return


def _check_schedules(projects: list[_Project]) -> None:
    """Every schedule must fire, without keeping the server busy."""
    schedules = [
        (project.document, location, schedule)
        for project in projects
        for declared, _ in project.declared
        for location, schedule in declared.schedules.items()
    ]
    reasons = dates.problems([schedule for *_, schedule in schedules])
    for (document, location, _), reason in zip(schedules, reasons, strict=True):
        if reason:
            kind = next(kind for kind in KINDS if document.has((*location, kind)))
            document.refuse((*location, kind), f"{document.value((*location, kind))!r} {reason}")


def _check_automations(resources: Resources, deployments: list[Deployment]) -> None:
    names = {f"{each.flow.name}/{each.declaration.name}" for each in deployments}
    for at, resource in resources.resources.items():
        for reference in references(resource.fields) if resource.kind == Automations.title else ():
            if (name := reference["deployment"]) and name not in names:
                resources.document.refuse(at, f"there is no deployment {name!r}: they are {', '.join(sorted(names))}")


def _check_target(
    targets: Targets, resources: Resources, inventory: Inventory | None, deployments: list[Deployment]
) -> None:
    """What the target changes must fit what it changes."""
    if not (target := targets.target):
        return
    at: Location = ("targets", targets.name or "")
    flows = {each.flow.name: each.flow for each in deployments}
    if inventory and target.work_pool and target.work_pool not in inventory.work_pools:
        reason = _not_served(target.work_pool, inventory.work_pools)
        targets.document.refuse((*at, "work_pool"), reason)
    for name, given in target.parameters.items():
        where = (*at, "parameters", name)
        if name not in flows:
            targets.document.refuse(where, f"there is no flow {name!r}: the flows are {', '.join(sorted(flows))}")
        else:
            _known_parameters(targets.document, where, given, flows[name])
            _valid_parameters(targets.document, where, given, flows[name])
            _check_secrets(targets.document, where, given, flows[name], resources)
    names = {f"{each.flow.name}/{each.declaration.name}" for each in deployments}
    for number, name in enumerate(target.paused):
        if name not in names:
            targets.document.refuse((*at, "paused", number), f"there is no deployment {name!r} in this target")


def _check_against_flow(
    document: Document, declared: Declaration, flow: Flow, resources: Resources, targets: Targets
) -> None:
    """The parameters must be the flow's own. What is required may be missing from a deployment, for a run can still
    give it; a schedule's run cannot.
    """
    if declared.flow_name not in (None, flow.name):
        document.refuse((*declared.location, "flow_name"), f"the flow calls itself {flow.name!r}: remove it")
    values = declared.parameters | targets.parameters(flow.name)
    required = flow.parameters.get("required", [])
    for location, given in [
        (declared.location, declared.parameters),
        *((location, schedule.parameters) for location, schedule in declared.schedules.items()),
    ]:
        at = (*location, "parameters")
        _known_parameters(document, at, given, flow)
        lacking = [name for name in required if name not in values | given] if location != declared.location else []
        if lacking:
            document.refuse(at, f"the flow {flow.name!r} needs {', '.join(lacking)}: give it here or in the deployment")
        if declared.enforce_parameter_schema:
            _valid_parameters(document, at, given, flow)
        _check_secrets(document, at, given, flow, resources)
    properties = flow.parameters.get("properties", {}).items()
    defaults = {name: schema["default"] for name, schema in properties if "default" in schema and name not in values}
    _check_secrets(document, (*declared.location, "parameters"), defaults, flow, resources)


def _check_secrets(document: Document, at: Location, given: dict[str, Any], flow: Flow, resources: Resources) -> None:
    """Secrets that parameters name must be declared, and not stand there themselves."""
    names = dict(_secrets(flow.parameters, given, flow.parameters.get("definitions", {})))
    _warn(document, at, (where for where in passwords(given) if where not in names))
    for where, value in names.items():
        block = value.removeprefix("/").replace("/", "-")
        if block not in resources.names(SecretBlocks.title):
            document.refuse((*at, *where), f"the secret {block!r} is not declared: add it to secrets in {FILE}")


def _warn(document: Document, at: Location, places: Iterable[Location]) -> None:
    for where in places:
        document.warn((*at, *where), PLAIN)


def _secrets(schema: Any, value: Any, definitions: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """The names of Secret blocks in a value, and where each stands."""
    if not isinstance(schema, dict):
        return
    if schema.get("format") == SECRET_FORMAT and isinstance(value, str) and value:
        yield (), value
    several = [one for name in ("anyOf", "allOf", "oneOf") for one in schema.get(name, ())]
    for one in [*several, definitions.get(schema.get("$ref", "").rpartition("/")[2])]:
        yield from _secrets(one, value, definitions)
    inner: Iterable[tuple[str | int, Any, Any]] = ()
    if isinstance(value, list):
        inner = [(number, schema.get("items"), one) for number, one in enumerate(value)]
    elif isinstance(value, dict):
        own, others = schema.get("properties", {}), schema.get("additionalProperties")
        inner = [(name, own.get(name, others), one) for name, one in value.items()]
    for name, one, held in inner:
        yield from (((name, *where), found) for where, found in _secrets(one, held, definitions))


def _known_parameters(document: Document, at: Location, given: dict[str, Any], flow: Flow) -> None:
    own = flow.parameters.get("properties", {})
    for name in given.keys() - own.keys():
        close = get_close_matches(name, own, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(own) or 'none'}"
        document.refuse((*at, name), f"is not a parameter of the flow {flow.name!r}: {hint}")


def _valid_parameters(document: Document, at: Location, given: dict[str, Any], flow: Flow) -> None:
    # As the server does it: references to variables are filled in when a run is made
    try:
        hydrated = hydrate(given)
    except (TypeError, ValueError, AttributeError) as error:
        document.refuse(at, f"Prefect cannot read what __prefect_kind stands in: {error}")
        return
    for error in validate(hydrated, flow.parameters, ignore_required=True):
        if not isinstance(error.instance, Placeholder):
            document.refuse((*at, *error.absolute_path), mismatch(error))


def _unique(projects: list[_Project]) -> None:
    """On a server a deployment is known by its flow's name and its own, whatever project it comes from."""
    first: dict[tuple[str, str], str] = {}
    for each in projects:
        for one, flow in each.declared:
            if not (one.name and one.entrypoint):
                continue
            where = (*one.location, "name")
            key = (flow.name if flow else f"{each.project.name}/{one.entrypoint}", one.name)
            if key in first:
                each.document.refuse(where, f"{'/'.join(key)!r} is also declared in {first[key]}: rename one of them")
            first.setdefault(key, f"{each.document.shown}:{each.document.line(where)}")
