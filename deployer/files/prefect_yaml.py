"""Deployments as a `prefect.yaml` declares them: what the file alone can tell is checked here, and nothing else."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.types.names import BANNED_CHARACTERS
from prefect.utilities.schema_tools import validate
from prefect.utilities.templating import find_placeholders
from prefect.workers.process import ProcessWorker
from pydantic import ValidationError

from deployer.files.document import Document, Location
from deployer.files.fields import known, mismatch, refuse
from deployer.files.schedules import BadSchedule, build

DEFAULT_POOL = "default"

# Parts of Prefect's format that have no place here, and why
_SHIPPED = "the platform ships the code and its environment itself: remove it"
REFUSED = {
    "build": _SHIPPED,
    "push": _SHIPPED,
    "pull": _SHIPPED,
    "triggers": "automations stand in resources.yml, which can name this deployment: move it there",
    "sla": "service level agreements exist in Prefect Cloud only: remove it",
    "version": "a deployment's version is the release that registered it: remove it",
    "version_type": "a deployment's version is the release that registered it: remove it",
}
REFUSED_JOB_VARIABLES = {
    "command": "the platform sets it to the Python of the project's environment: remove it",
    "working_dir": "the platform sets it to the release's folder: remove it",
}
# Without them, what a run logs would reach neither the journal nor the server.
REFUSED_ENVIRONMENT = dict.fromkeys(
    ("PYTHONPATH", "PREFECT_LOGGING_SETTINGS_PATH", "PREFECT_LOGGING_CONFIG_PATH"),
    "the platform sets it, so that logs reach the journal and the server: remove it",
)


@dataclass(frozen=True)
class Declaration:
    """One deployment of a `prefect.yaml`. Where a value is wrong, it is missing here and the document tells why."""

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
    # the texts of the job variables, which a worker fills in
    templates: list[tuple[Location, str]] = field(default_factory=list)


def declarations(document: Document, folder: Path) -> list[Declaration]:
    """The deployments a `prefect.yaml` in `folder` declares; what is wrong with them is noted on the document."""
    if document.problems:
        return []
    data = document.data
    if not isinstance(data, dict):
        document.refuse((), "is not a prefect.yaml: its top level must hold `name` and `deployments`")
        return []
    # `definitions` and `x-…` are where anchors are kept for use further down
    fields = {key: value for key, value in data.items() if key not in REFUSED and not str(key).startswith("x-")}
    known(document, (), fields, PrefectYamlModel, ["definitions"], _elsewhere())
    _refused(document, (), data)
    written = data.get("deployments")
    if not isinstance(written, list) or not written:
        document.refuse(("deployments",), "must be a list of at least one deployment")
        return []
    found = []
    for index, one in enumerate(written):
        if isinstance(one, dict):
            found.append(_declaration(document, ("deployments", index), one, folder))
        else:
            document.refuse(("deployments", index), "must be a mapping with `name` and `entrypoint`")
    return found


def _declaration(document: Document, at: Location, written: dict[str, Any], folder: Path) -> Declaration:
    known(document, at, written, DeploymentConfig, elsewhere=_elsewhere())
    _refused(document, at, written)
    _plain(document, at, written)
    model = _model(document, at, written)
    pool, queue, job_variables = _work_pool(document, at, model)
    return Declaration(
        location=at,
        name=_name(document, at, model),
        entrypoint=_entrypoint(document, at, model, folder),
        flow_name=model.flow_name,
        description=model.description,
        tags=_tags(document, at, model),
        parameters=model.parameters,
        schedules=_schedules(document, at, written),
        paused=model.paused,
        concurrency=_concurrency(document, at, model),
        enforce_parameter_schema=model.enforce_parameter_schema is not False,
        pool=pool,
        queue=queue,
        job_variables=job_variables,
        templates=list(_strings(job_variables, (*at, "work_pool", "job_variables"))),
    )


def _model(document: Document, at: Location, written: dict[str, Any]) -> DeploymentConfig:
    """Prefect's own reading of a deployment, without what it cannot read; schedules are read apart."""
    rest = {key: value for key, value in written.items() if key not in ("schedule", "schedules", *REFUSED)}
    # A key left empty is a key not given
    rest = {key: value for key, value in rest.items() if value is not None}
    try:
        return DeploymentConfig.model_validate(rest)
    except ValidationError as error:
        wrong = refuse(document, at, error)
        return DeploymentConfig.model_validate({key: value for key, value in rest.items() if key not in wrong})


def _name(document: Document, at: Location, model: DeploymentConfig) -> str | None:
    if not model.name:
        if not document.has((*at, "name")) or isinstance(document.value((*at, "name")), str | None):
            document.refuse((*at, "name"), "is missing: a deployment needs a name")
        return None
    if any(character in model.name for character in BANNED_CHARACTERS):
        document.refuse((*at, "name"), f"{model.name!r} must not contain any of {' '.join(BANNED_CHARACTERS)}")
    return model.name


def _entrypoint(document: Document, at: Location, model: DeploymentConfig, folder: Path) -> str | None:
    where = (*at, "entrypoint")
    if not model.entrypoint:
        if not document.has(where) or isinstance(document.value(where), str | None):
            document.refuse(where, "is missing: say which flow to run, such as flow.py:my_flow")
        return None
    file, colon, function = model.entrypoint.rpartition(":")
    if not (colon and function and file.endswith(".py")):
        document.refuse(where, f"{model.entrypoint!r} is not of the form file.py:flow")
    elif not (path := (folder / file).resolve()).is_relative_to(folder.resolve()):
        document.refuse(where, f"{file!r} is outside the project's folder, and only the folder is shipped")
    elif not path.is_file():
        document.refuse(where, f"there is no file {file!r} in the project's folder")
    else:
        return model.entrypoint
    return None


def _tags(document: Document, at: Location, model: DeploymentConfig) -> list[str]:
    if isinstance(model.tags, str):
        document.refuse((*at, "tags"), f"must be a list: [{model.tags}]")
        return []
    return [str(tag) for tag in model.tags or []]


def _schedules(document: Document, at: Location, written: dict[str, Any]) -> dict[Location, DeploymentScheduleCreate]:
    single, several = written.get("schedule"), written.get("schedules")
    if single and several:
        document.refuse((*at, "schedule"), "stands beside `schedules`: move it there")
    if several is not None and not isinstance(several, list):
        document.refuse((*at, "schedules"), "must be a list")
        several = None
    placed = [((*at, "schedule"), single)] if single else []
    placed += [((*at, "schedules", index), one) for index, one in enumerate(several or [])]
    found: dict[Location, DeploymentScheduleCreate] = {}
    for where, one in placed:
        if isinstance(one, list):
            document.refuse(where, "a list belongs under `schedules`: write `schedules:`")
            continue
        if not isinstance(one, dict):
            document.refuse(where, "must be a mapping with one of cron, interval and rrule")
            continue
        try:
            schedule = build(one)
        except BadSchedule as bad:
            for name, reason in bad.reasons.items():
                document.refuse((*where, name) if name else where, reason)
            continue
        slug = schedule.slug
        if slug and slug in {other.slug for other in found.values()}:
            document.refuse((*where, "slug"), f"{slug!r} is the slug of another schedule of this deployment")
        found[where] = schedule
    return found


def _concurrency(document: Document, at: Location, model: DeploymentConfig) -> ConcurrencyLimitConfig | None:
    where, limit = (*at, "concurrency_limit"), model.concurrency_limit
    if limit is None:
        return None
    if isinstance(limit, ConcurrencyLimitSpec):
        known(document, where, document.value(where), ConcurrencyLimitSpec)
        given = limit.model_dump(exclude_none=True)
    else:
        given = {"limit": limit}
    try:
        config = ConcurrencyLimitConfig.model_validate(given)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            document.refuse((*where, *detail["loc"]), detail["msg"])
        return None
    if config.limit < 1:
        document.refuse(where, "must be at least 1")
    return config


def _work_pool(document: Document, at: Location, model: DeploymentConfig) -> tuple[str, str | None, dict[str, Any]]:
    where = (*at, "work_pool")
    if model.work_pool is None:
        return DEFAULT_POOL, None, {}
    known(document, where, document.value(where), WorkPoolConfig, elsewhere=_elsewhere())
    variables = model.work_pool.job_variables
    schema = _job_variables()
    for name in variables:
        if name in REFUSED_JOB_VARIABLES:
            document.refuse((*where, "job_variables", name), REFUSED_JOB_VARIABLES[name])
        elif name not in schema["properties"]:
            names = ", ".join(sorted(schema["properties"].keys() - REFUSED_JOB_VARIABLES))
            mend = _elsewhere().get(name, "remove it")
            reason = f"flows run in process work pools, whose job variables are {names}: {mend}"
            document.refuse((*where, "job_variables", name), reason)
    for error in validate(variables, schema):
        document.refuse((*where, "job_variables", *error.absolute_path), mismatch(error))
    env = variables.get("env")
    for name in env if isinstance(env, dict) else ():
        if name in REFUSED_ENVIRONMENT:
            document.refuse((*where, "job_variables", "env", name), REFUSED_ENVIRONMENT[name])
    return model.work_pool.name or DEFAULT_POOL, model.work_pool.work_queue_name, variables


@functools.cache
def _job_variables() -> dict[str, Any]:
    """The schema of a process pool's job variables."""
    return ProcessWorker.get_default_base_job_template()["variables"]


@functools.cache
def _elsewhere() -> dict[str, str]:
    """For the fields of every level, where they belong; and those of earlier versions of Prefect."""
    levels = {
        "into an entry of `deployments`": DeploymentConfig.model_fields,
        "under `work_pool`": WorkPoolConfig.model_fields,
        "under `job_variables` of `work_pool`": _job_variables()["properties"].keys() - REFUSED_JOB_VARIABLES,
        "under `concurrency_limit`": ConcurrencyLimitSpec.model_fields,
        "into an entry of `schedules`": RawScheduleConfig.model_fields,
    }
    places = {field: f"it belongs {level}" for level, fields in reversed(levels.items()) for field in fields}
    return (
        REFUSED_JOB_VARIABLES
        | places
        | {
            "is_schedule_active": "write `active: false` into the schedule",
            "work_pool_name": "write `name` under `work_pool`",
            "infra_overrides": "write `job_variables` under `work_pool`",
        }
    )


def _refused(document: Document, at: Location, written: Mapping[str, Any]) -> None:
    for key, reason in REFUSED.items():
        if written.get(key):
            document.refuse((*at, key), reason)


def _plain(document: Document, at: Location, written: dict[str, Any]) -> None:
    """Refuse `{{ … }}`, which `prefect deploy` would fill in; only a worker fills in those of job variables."""
    for where, text in _strings(written, at):
        if where[len(at) : len(at) + 2] != ("work_pool", "job_variables") and find_placeholders(text):
            document.refuse(where, f"{text!r} holds a template, and nothing fills it in here: write the value")


def _strings(value: Any, at: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in REFUSED:
                yield from _strings(one, (*at, key))
