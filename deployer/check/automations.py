"""Deployments that an automation names must be declared."""

from deployer.check.projects import Deployment
from deployer.files.resources_yml import ResourcesFile
from deployer.model.references import references_in
from deployer.server.kinds.automations import Automations


def check_automations(resources: ResourcesFile, deployments: list[Deployment]) -> None:
    """Add a problem for every reference to a deployment that no project declares."""
    names = {deployment.name for deployment in deployments}
    for at, resource in resources.resources.items():
        for match in references_in(resource.fields) if resource.kind == Automations.title else ():
            if (name := match["deployment"]) and name not in names:
                reason = f"there is no deployment {name!r}: they are {', '.join(sorted(names))}"
                resources.document.add_problem(at, reason)
