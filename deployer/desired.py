"""What the server should hold: pure values made from what the projects declare and the release that is deployed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from deployer.check import Deployment
from deployer.environment import lock_hash
from deployer.errors import DeployError
from deployer.schedules import Schedule

# Labels tell what this repository registered from what others did
RELEASE_LABEL = "platform.release"
PROJECT_LABEL = "platform.project"


@dataclass(frozen=True)
class Release:
    """A release on the worker hosts, and where its environments are."""

    id: str
    flows_root: PurePosixPath
    envs_root: PurePosixPath

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.id):
            raise DeployError(f"{self.id!r} cannot name a release: use letters, digits, '.', '_' and '-'")

    def folder(self, project: str) -> PurePosixPath:
        """Where the release keeps a project's code."""
        return self.flows_root / "releases" / self.id / project

    def python(self, project: str, hash_: str) -> PurePosixPath:
        """The Python of a project's environment."""
        return self.envs_root / f"{project}-{hash_}" / "bin" / "python"


@dataclass(frozen=True)
class DesiredDeployment:
    """A deployment as it should be registered: `fields` are those of Prefect's DeploymentCreate."""

    flow_name: str
    name: str
    fields: dict[str, Any]
    schedules: list[Schedule]

    @property
    def full_name(self) -> str:
        """The name users give to `prefect deployment run`."""
        return f"{self.flow_name}/{self.name}"


def desired(deployments: Iterable[Deployment], release: Release) -> list[DesiredDeployment]:
    """The deployments that `release` should have on the server."""
    return [_desired(deployment, release) for deployment in deployments]


def _desired(deployment: Deployment, release: Release) -> DesiredDeployment:
    declared, flow, project = deployment.declaration, deployment.flow, deployment.project
    python = release.python(project.name, lock_hash(project.folder / "requirements.txt"))
    folder = release.folder(project.name)
    concurrency = declared.concurrency
    fields = {
        "version": release.id,
        "description": declared.description or flow.description,
        "tags": declared.tags,
        "labels": {RELEASE_LABEL: release.id, PROJECT_LABEL: project.name},
        "entrypoint": declared.entrypoint,
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}],
        "work_pool_name": declared.pool,
        "work_queue_name": declared.queue or "default",
        "job_variables": declared.job_variables | {"command": f"{python} -m prefect.engine"},
        "parameters": declared.parameters,
        "parameter_openapi_schema": flow.parameters,
        "enforce_parameter_schema": declared.enforce_parameter_schema,
        "concurrency_limit": concurrency.limit if concurrency else None,
        "concurrency_options": concurrency.model_dump(exclude={"limit"}, exclude_none=True) if concurrency else None,
    }
    if declared.paused is not None:
        fields["paused"] = declared.paused
    return DesiredDeployment(flow.name, declared.name or "", fields, list(declared.schedules.values()))
