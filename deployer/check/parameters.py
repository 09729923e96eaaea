"""Parameters must be those of the flow."""

from difflib import get_close_matches
from typing import Any

from prefect.utilities.schema_tools import hydrate, validate
from prefect.utilities.schema_tools.hydration import Placeholder

from deployer.check.secrets import check_secrets
from deployer.files.document import Document
from deployer.files.fields import schema_message
from deployer.files.prefect_yaml import Declaration
from deployer.files.resources_yml import ResourcesFile
from deployer.files.targets_yml import TargetsFile
from deployer.flows.inspection import Flow
from deployer.model.errors import Location


def check_parameters(
    document: Document, declaration: Declaration, flow: Flow, resources: ResourcesFile, targets: TargetsFile
) -> None:
    """The parameters of a deployment and its schedules must fit the flow.

    A deployment may leave out required ones, for a run can still give them; a schedule's run cannot.
    """
    if declaration.flow_name not in (None, flow.name):
        reason = f"the flow calls itself {flow.name!r}: remove it"
        document.add_problem((*declaration.location, "flow_name"), reason)
    common = declaration.parameters | targets.parameters(flow.name)
    for location, parameters in [
        (declaration.location, declaration.parameters),
        *((location, schedule.parameters) for location, schedule in declaration.schedules.items()),
    ]:
        at = (*location, "parameters")
        check_known_parameters(document, at, parameters, flow)
        if location != declaration.location:
            _check_required(document, at, common | parameters, flow)
        if declaration.enforce_parameter_schema:
            check_parameter_values(document, at, parameters, flow)
        check_secrets(document, at, parameters, flow, resources)
    schemas = flow.parameters.get("properties", {}).items()
    defaults = {name: schema["default"] for name, schema in schemas if "default" in schema and name not in common}
    check_secrets(document, (*declaration.location, "parameters"), defaults, flow, resources)


def _check_required(document: Document, at: Location, parameters: dict[str, Any], flow: Flow) -> None:
    lacking = [name for name in flow.parameters.get("required", []) if name not in parameters]
    if lacking:
        reason = f"the flow {flow.name!r} needs {', '.join(lacking)}: give it here or in the deployment"
        document.add_problem(at, reason)


def check_known_parameters(document: Document, at: Location, parameters: dict[str, Any], flow: Flow) -> None:
    """Every parameter must be one of the flow."""
    known = flow.parameters.get("properties", {})
    for name in parameters.keys() - known.keys():
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known) or 'none'}"
        document.add_problem((*at, name), f"is not a parameter of the flow {flow.name!r}: {hint}")


def check_parameter_values(document: Document, at: Location, parameters: dict[str, Any], flow: Flow) -> None:
    """Every value must fit the flow's JSON schema, as the server checks it."""
    # References to variables are resolved when a run is made
    try:
        hydrated = hydrate(parameters)
    except (TypeError, ValueError, AttributeError) as error:
        document.add_problem(at, f"Prefect cannot read what __prefect_kind stands in: {error}")
        return
    for mismatch in validate(hydrated, flow.parameters, ignore_required=True):
        if not isinstance(mismatch.instance, Placeholder):
            document.add_problem((*at, *mismatch.absolute_path), schema_message(mismatch))
