"""The rules that everything under `flows/` must meet before anything is registered. No server is needed.

One module a subject; a rule adds its problems to the document of the file that people mend.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deployer.check.automations import check_automations
from deployer.check.names import check_unique
from deployer.check.parameters import check_parameters
from deployer.check.passwords import warn_of_passwords, warn_of_variables
from deployer.check.placeholders import check_placeholders
from deployer.check.pools import check_pool, check_queue
from deployer.check.projects import Deployment, import_flows, read_projects
from deployer.check.release_files import check_release_files
from deployer.check.schedules import check_schedules
from deployer.check.sizes import check_sizes
from deployer.check.targets import check_production, check_target
from deployer.files.inventory import Inventory
from deployer.files.resources_yml import ResourcesFile, read_resources
from deployer.files.targets_yml import TargetsFile
from deployer.flows.project import Project
from deployer.model.errors import Problem

__all__ = ["Checked", "Deployment", "PythonOf", "check"]

# Finds the Python that imports a project's flows
PythonOf = Callable[[Project], Path]


@dataclass
class Checked:
    """Everything under `flows/` that belongs into the target, with all problems and warnings, sorted."""

    deployments: list[Deployment]
    resources_file: ResourcesFile
    targets_file: TargetsFile
    problems: list[Problem]
    warnings: list[Problem]


def check(flows: Path, target: str | None, inventory: Inventory | None, python_of: PythonOf) -> Checked:
    """Read all files, import all flows, and check them against each other; with `target`, also against its mode.

    Raises a DeployError if `flows` holds no project, or lacks the target.
    """
    targets, resources = TargetsFile(flows, target), read_resources(flows)
    projects, problems = read_projects(flows, targets, python_of)
    import_flows(projects, flows)
    for project in projects:
        document = project.document
        for declaration, flow in project.declared:
            if not (targets.target and targets.target.work_pool):  # check_target has the target's pool
                check_pool(document, declaration, resources, inventory)
            check_queue(document, declaration, resources, targets)
            check_placeholders(document, declaration, resources)
            check_sizes(document, declaration, flow, targets)
            where = (*declaration.location, "work_pool", "job_variables")
            warn_of_passwords(document, where, declaration.job_variables)
            if flow:
                check_parameters(document, declaration, flow, resources, targets)
                check_production(document, declaration, targets, f"{flow.name}/{declaration.name}")
    check_schedules(projects)
    check_unique(projects)
    deployments = [deployment for project in projects for deployment in project.deployments]
    check_automations(resources, deployments)
    check_target(targets, resources, inventory, deployments)
    warn_of_variables(resources)
    problems += [problem for project in projects for problem in project.problems]
    problems += check_release_files(flows)
    documents = [*(project.document for project in projects), resources.document, targets.document]
    problems += [problem for document in documents for problem in document.problems]
    warnings = [warning for document in documents for warning in document.warnings]
    return Checked(deployments, resources, targets, sorted(problems), sorted(warnings))
