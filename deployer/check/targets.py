"""A target must fit the deployments that it changes, and production takes no tests and no silent pauses."""

from deployer.check.parameters import check_known_parameters, check_parameter_values
from deployer.check.pools import not_served
from deployer.check.projects import Deployment
from deployer.check.secrets import check_secrets
from deployer.files.document import Document
from deployer.files.inventory import Inventory
from deployer.files.prefect_yaml import Declaration
from deployer.files.resources_yml import ResourcesFile
from deployer.files.targets_yml import TARGETS_YML, TEST_TAGS, TargetsFile
from deployer.model.errors import Location


def check_target(
    targets: TargetsFile, resources: ResourcesFile, inventory: Inventory | None, deployments: list[Deployment]
) -> None:
    """The target's pool, flows, parameters and deployments must exist."""
    if not (target := targets.target):
        return
    document = targets.document
    at: Location = ("targets", targets.name or "")
    if inventory and target.work_pool and target.work_pool not in inventory.work_pools:
        document.add_problem((*at, "work_pool"), not_served(target.work_pool, inventory.work_pools))
    flows = {deployment.flow.name: deployment.flow for deployment in deployments}
    for name, parameters in target.parameters.items():
        where = (*at, "parameters", name)
        if name not in flows:
            document.add_problem(where, f"there is no flow {name!r}: the flows are {', '.join(sorted(flows))}")
        else:
            check_known_parameters(document, where, parameters, flows[name])
            check_parameter_values(document, where, parameters, flows[name])
            check_secrets(document, where, parameters, flows[name], resources)
    names = {deployment.name for deployment in deployments}
    for number, name in enumerate(target.paused):
        if name not in names:
            document.add_problem((*at, "paused", number), f"there is no deployment {name!r} in this target: remove it")


def check_production(document: Document, declaration: Declaration, targets: TargetsFile, full_name: str) -> None:
    """Production takes no tests, and no pause that the target does not list; `full_name` is <flow>/<deployment>."""
    target = targets.target
    if not target or not targets.is_production:
        return
    for tag in declaration.tags:
        if tag.lower() in TEST_TAGS:
            mend = f"remove it, or add it to without_tags of {targets.name} in {TARGETS_YML}"
            document.add_problem((*declaration.location, "tags"), f"{tag!r} does not belong into production: {mend}")
    if full_name in target.paused:
        return
    mend = f"let it run, or list {full_name!r} under `paused` of {targets.name} in {TARGETS_YML}"
    if declaration.paused:
        document.add_problem((*declaration.location, "paused"), f"is paused in production: {mend}")
    for where, schedule in declaration.schedules.items():
        if schedule.active is False:
            document.add_problem((*where, "active"), f"is paused in production: {mend}")
