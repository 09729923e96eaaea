"""Prefect's format of deployments: the parts that the platform does itself, and the place of every field."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.utilities.templating import find_placeholders
from prefect.workers.process import ProcessWorker

from deployer.files.document import Document
from deployer.model.errors import Location

_SHIPPED = "the platform ships the code and its environment itself: remove it"
# By key: why the platform does not support it
UNSUPPORTED = {
    "build": _SHIPPED,
    "push": _SHIPPED,
    "pull": _SHIPPED,
    "triggers": "automations stand in resources.yml, which can name this deployment: move it there",
    "sla": "service level agreements exist in Prefect Cloud only: remove it",
    "version": "a deployment's version is the release that registered it: remove it",
    "version_type": "a deployment's version is the release that registered it: remove it",
}
UNSUPPORTED_JOB_VARIABLES = {
    "command": "the platform sets it to the Python of the project's environment: remove it",
    "working_dir": "the platform sets it to the release's folder: remove it",
}
# Any other value would keep logs of runs from the journal and the server.
UNSUPPORTED_ENVIRONMENT = dict.fromkeys(
    ("PYTHONPATH", "PREFECT_LOGGING_SETTINGS_PATH", "PREFECT_LOGGING_CONFIG_PATH"),
    "the platform sets it, so that logs reach the journal and the server: remove it",
)


def add_unsupported_keys(document: Document, at: Location, written: Mapping[str, Any]) -> None:
    """Add a problem for every key of UNSUPPORTED that has a value."""
    for key, reason in UNSUPPORTED.items():
        if written.get(key):
            document.add_problem((*at, key), reason)


def add_unresolved_templates(document: Document, at: Location, written: dict[str, Any]) -> None:
    """Add a problem for every `{{ … }}` outside of job variables: `prefect deploy` resolves those, workers do not."""
    for where, text in strings(written, at):
        if where[len(at) : len(at) + 2] != ("work_pool", "job_variables") and find_placeholders(text):
            document.add_problem(where, f"{text!r} holds a template, which is not resolved here: write the value")


def strings(value: Any, at: Location) -> Iterator[tuple[Location, str]]:
    """The texts in a value, with their places; keys of UNSUPPORTED are left out."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in UNSUPPORTED:
                yield from strings(item, (*at, key))


@functools.cache
def job_variables_schema() -> dict[str, Any]:
    """The JSON schema of a process pool's job variables."""
    schema: dict[str, Any] = ProcessWorker.get_default_base_job_template()["variables"]
    return schema


@functools.cache
def mends() -> dict[str, str]:
    """By field: how to mend it where it is misplaced, or comes from an earlier version of Prefect."""
    levels = {
        "into an entry of `deployments`": DeploymentConfig.model_fields.keys(),
        "under `work_pool`": WorkPoolConfig.model_fields.keys(),
        "under `job_variables` of `work_pool`": job_variables_schema()["properties"].keys() - UNSUPPORTED_JOB_VARIABLES,
        "under `concurrency_limit`": ConcurrencyLimitSpec.model_fields.keys(),
        "into an entry of `schedules`": RawScheduleConfig.model_fields.keys(),
    }
    places = {field: f"it belongs {level}" for level, fields in reversed(levels.items()) for field in fields}
    return (
        UNSUPPORTED_JOB_VARIABLES
        | places
        | {
            "is_schedule_active": "write `active: false` into the schedule",
            "work_pool_name": "write `name` under `work_pool`",
            "infra_overrides": "write `job_variables` under `work_pool`",
        }
    )
