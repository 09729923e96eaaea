"""Deployments as a `prefect.yaml` declares them, with the checks that need this file alone."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    WorkPoolConfig,
)
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.types.names import BANNED_CHARACTERS
from prefect.utilities.schema_tools import validate
from pydantic import ValidationError

from deployer.files.document import Document
from deployer.files.fields import add_validation_errors, check_known, schema_message
from deployer.files.prefect_format import (
    UNSUPPORTED,
    UNSUPPORTED_ENVIRONMENT,
    UNSUPPORTED_JOB_VARIABLES,
    add_unresolved_templates,
    add_unsupported_keys,
    job_variables_schema,
    mends,
    strings,
)
from deployer.files.schedules import ScheduleError, build_schedule
from deployer.model.errors import Location

DEFAULT_POOL = "default"


@dataclass(frozen=True)
class Declaration:
    """One deployment of a `prefect.yaml`. A value with a problem, which the document has, is missing here."""

    location: Location
    name: str | None
    entrypoint: str | None
    flow_name: str | None
    description: str | None
    tags: list[str]
    parameters: dict[str, Any]
    schedules: dict[Location, DeploymentScheduleCreate]
    paused: bool | None
    concurrency: ConcurrencyLimitConfig | None
    enforce_parameter_schema: bool
    pool: str
    queue: str | None
    job_variables: dict[str, Any] = field(default_factory=dict)
    # the texts of the job variables, whose placeholders a worker resolves
    templates: list[tuple[Location, str]] = field(default_factory=list)


def read_declarations(document: Document, folder: Path) -> list[Declaration]:
    """The deployments that a `prefect.yaml` in `folder` declares; adds their problems to the document."""
    if document.problems:
        return []
    data = document.data
    if not isinstance(data, dict):
        document.add_problem((), "is not a prefect.yaml: its top level must hold `name` and `deployments`")
        return []
    # `definitions` and `x-…` are where anchors are kept for use further down
    fields = {key: value for key, value in data.items() if key not in UNSUPPORTED and not str(key).startswith("x-")}
    check_known(document, (), fields, PrefectYamlModel, ["definitions"], mends())
    add_unsupported_keys(document, (), data)
    entries = data.get("deployments")
    if not isinstance(entries, list) or not entries:
        document.add_problem(("deployments",), "must be a list of at least one deployment")
        return []
    declarations = []
    for number, entry in enumerate(entries):
        if isinstance(entry, dict):
            declarations.append(_declaration(document, ("deployments", number), entry, folder))
        else:
            document.add_problem(("deployments", number), "must be a mapping with `name` and `entrypoint`")
    return declarations


def _declaration(document: Document, at: Location, written: dict[str, Any], folder: Path) -> Declaration:
    check_known(document, at, written, DeploymentConfig, mends=mends())
    add_unsupported_keys(document, at, written)
    add_unresolved_templates(document, at, written)
    config = _config(document, at, written)
    pool, queue, job_variables = _work_pool(document, at, config)
    return Declaration(
        location=at,
        name=_name(document, at, config),
        entrypoint=_entrypoint(document, at, config, folder),
        flow_name=config.flow_name,
        description=config.description,
        tags=_tags(document, at, config),
        parameters=config.parameters,
        schedules=_schedules(document, at, written),
        paused=config.paused,
        concurrency=_concurrency(document, at, config),
        enforce_parameter_schema=config.enforce_parameter_schema is not False,
        pool=pool,
        queue=queue,
        job_variables=job_variables,
        templates=list(strings(job_variables, (*at, "work_pool", "job_variables"))),
    )


def _config(document: Document, at: Location, written: dict[str, Any]) -> DeploymentConfig:
    """Prefect's own reading of a deployment, without the fields that it cannot read; schedules are read apart."""
    fields = {key: value for key, value in written.items() if key not in ("schedule", "schedules", *UNSUPPORTED)}
    # Prefect treats an empty key as a missing one
    fields = {key: value for key, value in fields.items() if value is not None}
    try:
        return DeploymentConfig.model_validate(fields)
    except ValidationError as error:
        invalid = add_validation_errors(document, at, error)
        return DeploymentConfig.model_validate({key: value for key, value in fields.items() if key not in invalid})


def _name(document: Document, at: Location, config: DeploymentConfig) -> str | None:
    if not config.name:
        if not document.has((*at, "name")) or isinstance(document.value((*at, "name")), str | None):
            document.add_problem((*at, "name"), "is missing: a deployment needs a name")
        return None
    if any(character in config.name for character in BANNED_CHARACTERS):
        document.add_problem((*at, "name"), f"{config.name!r} must not contain any of {' '.join(BANNED_CHARACTERS)}")
    return config.name


def _entrypoint(document: Document, at: Location, config: DeploymentConfig, folder: Path) -> str | None:
    where = (*at, "entrypoint")
    if not config.entrypoint:
        if not document.has(where) or isinstance(document.value(where), str | None):
            document.add_problem(where, "is missing: say which flow to run, such as flow.py:my_flow")
        return None
    file, colon, function = config.entrypoint.rpartition(":")
    if not (colon and function and file.endswith(".py")):
        document.add_problem(where, f"{config.entrypoint!r} is not of the form file.py:flow")
    elif not (path := (folder / file).resolve()).is_relative_to(folder.resolve()):
        document.add_problem(where, f"{file!r} is outside the project's folder, and only the folder is shipped")
    elif not path.is_file():
        document.add_problem(where, f"there is no file {file!r} in the project's folder")
    else:
        return config.entrypoint
    return None


def _tags(document: Document, at: Location, config: DeploymentConfig) -> list[str]:
    if isinstance(config.tags, str):
        document.add_problem((*at, "tags"), f"must be a list: [{config.tags}]")
        return []
    return [str(tag) for tag in config.tags or []]


def _schedules(document: Document, at: Location, written: dict[str, Any]) -> dict[Location, DeploymentScheduleCreate]:
    single, several = written.get("schedule"), written.get("schedules")
    if single and several:
        document.add_problem((*at, "schedule"), "stands beside `schedules`: move it there")
    if several is not None and not isinstance(several, list):
        document.add_problem((*at, "schedules"), "must be a list")
        several = None
    entries: list[tuple[Location, Any]] = [((*at, "schedule"), single)] if single else []
    entries += [((*at, "schedules", number), entry) for number, entry in enumerate(several or [])]
    schedules: dict[Location, DeploymentScheduleCreate] = {}
    for where, entry in entries:
        if not (schedule := _schedule(document, where, entry)):
            continue
        slug = schedule.slug
        if slug and slug in {other.slug for other in schedules.values()}:
            document.add_problem((*where, "slug"), f"{slug!r} is the slug of another schedule of this deployment")
        schedules[where] = schedule
    return schedules


def _schedule(document: Document, at: Location, written: Any) -> DeploymentScheduleCreate | None:
    if isinstance(written, list):
        document.add_problem(at, "a list belongs under `schedules`: write `schedules:`")
    elif not isinstance(written, dict):
        document.add_problem(at, "must be a mapping with one of cron, interval and rrule")
    else:
        try:
            return build_schedule(written)
        except ScheduleError as error:
            for name, reason in error.reasons.items():
                document.add_problem((*at, name) if name else at, reason)
    return None


def _concurrency(document: Document, at: Location, config: DeploymentConfig) -> ConcurrencyLimitConfig | None:
    where, limit = (*at, "concurrency_limit"), config.concurrency_limit
    if limit is None:
        return None
    if isinstance(limit, ConcurrencyLimitSpec):
        check_known(document, where, document.value(where), ConcurrencyLimitSpec)
        fields = limit.model_dump(exclude_none=True)
    else:
        fields = {"limit": limit}
    try:
        concurrency = ConcurrencyLimitConfig.model_validate(fields)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            document.add_problem((*where, *detail["loc"]), detail["msg"])
        return None
    if concurrency.limit < 1:
        document.add_problem(where, "must be at least 1")
    return concurrency


def _work_pool(document: Document, at: Location, config: DeploymentConfig) -> tuple[str, str | None, dict[str, Any]]:
    where = (*at, "work_pool")
    if config.work_pool is None:
        return DEFAULT_POOL, None, {}
    check_known(document, where, document.value(where), WorkPoolConfig, mends=mends())
    variables = config.work_pool.job_variables
    schema = job_variables_schema()
    for name in variables:
        if name in UNSUPPORTED_JOB_VARIABLES:
            document.add_problem((*where, "job_variables", name), UNSUPPORTED_JOB_VARIABLES[name])
        elif name not in schema["properties"]:
            names = ", ".join(sorted(schema["properties"].keys() - UNSUPPORTED_JOB_VARIABLES))
            mend = mends().get(name, "remove it")
            reason = f"flows run in process work pools, whose job variables are {names}: {mend}"
            document.add_problem((*where, "job_variables", name), reason)
    for error in validate(variables, schema):
        document.add_problem((*where, "job_variables", *error.absolute_path), schema_message(error))
    environment = variables.get("env")
    for name in environment if isinstance(environment, dict) else ():
        if name in UNSUPPORTED_ENVIRONMENT:
            document.add_problem((*where, "job_variables", "env", name), UNSUPPORTED_ENVIRONMENT[name])
    return config.work_pool.name or DEFAULT_POOL, config.work_pool.work_queue_name, variables
