"""Placeholders in job variables must be those that a worker resolves, and name what is declared."""

from prefect.utilities.templating import find_placeholders

from deployer.files.document import Document
from deployer.files.prefect_yaml import Declaration
from deployer.files.resources_yml import RESOURCES_YML, ResourcesFile
from deployer.model.errors import Location
from deployer.server.kinds.blocks import SecretBlocks
from deployer.server.kinds.variables import Variables


def check_placeholders(document: Document, declaration: Declaration, resources: ResourcesFile) -> None:
    """Secrets and variables in the texts of job variables must be declared."""
    for at, text in declaration.templates:
        for placeholder in find_placeholders(text):
            _check_placeholder(document, at, placeholder.name, placeholder.full_match, resources)


def _check_placeholder(document: Document, at: Location, content: str, shown: str, resources: ResourcesFile) -> None:
    if content.startswith("ctx.") and at[-2:] == ("job_variables", "name"):
        return  # values of the run, in the name of its process
    match content.split("."):
        case ["prefect", "blocks", "secret", *rest]:
            kind, name = SecretBlocks.title, ".".join(rest[:1])
        case ["prefect", "variables", *rest]:
            kind, name = Variables.title, ".".join(rest)
        case _:
            resolved = "{{ prefect.blocks.secret.… }} and {{ prefect.variables.… }}"
            document.add_problem(at, f"unknown placeholder {shown}: workers resolve only {resolved}")
            return
    if name not in resources.names(kind):
        document.add_problem(at, f"the {kind} {name!r} is not declared: add it to {kind}s in {RESOURCES_YML}")
