"""The manifest of a release: pure values made from the files, the target, and the release."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from deployer.check import Checked, Deployment
from deployer.files.targets_yml import Target
from deployer.flows.locks import lock_hash
from deployer.model.manifest import Manifest, Resource, check_release
from deployer.server.kinds.automations import Automations
from deployer.server.kinds.deployments import OWNER_LABEL, PAUSED_LABEL, PROJECT_LABEL, RELEASE_LABEL, Deployments
from deployer.server.kinds.variables import Variables
from deployer.server.kinds.work_pools import WorkPools


@dataclass(frozen=True)
class Release:
    """A release on the worker hosts, and the folder of its environments."""

    id: str
    flows_root: PurePosixPath
    envs_root: PurePosixPath

    def __post_init__(self) -> None:
        check_release(self.id)

    def folder(self, project: str) -> PurePosixPath:
        """The folder of a project's code in the release."""
        return self.flows_root / "releases" / self.id / project

    def python(self, project: str, hash_: str) -> PurePosixPath:
        """The Python of a project's environment."""
        return self.envs_root / f"{project}-{hash_}" / "bin" / "python"


def desired_manifest(checked: Checked, release: Release, work_pools: Iterable[str]) -> Manifest:
    """The manifest of `release`; `work_pools` are those that workers serve."""
    target, owner = checked.targets_file.target, checked.targets_file.owner
    deployments = [_deployment(deployment, release, target, owner) for deployment in checked.deployments]
    if target and target.name_prefix:  # the target without a prefix registers the other resources
        return Manifest(release.id, owner, deployments)
    declared = [_with_mark(resource, owner) for resource in checked.resources_file.resources.values()]
    resources = WorkPools.undeclared(work_pools, declared) + declared + deployments
    return Manifest(release.id, owner, resources, checked.resources_file.blocks)


def _deployment(deployment: Deployment, release: Release, target: Target | None, owner: str) -> Resource:
    declaration, flow, project = deployment.declaration, deployment.flow, deployment.project
    target = target or Target(mode="development")
    python = release.python(project.name, lock_hash(project.folder / "requirements.txt"))
    folder = release.folder(project.name)
    concurrency = declaration.concurrency
    schedules = [schedule.model_dump(mode="json", exclude_unset=True) for schedule in declaration.schedules.values()]
    paused = target.schedules == "paused"
    if paused:
        schedules = [schedule | {"active": False} for schedule in schedules]
    fields: dict[str, Any] = {
        "version": release.id,
        # the server keeps its description if it gets none
        "description": declaration.description or flow.description or "",
        "tags": [*declaration.tags, *(tag for tag in target.tags if tag not in declaration.tags)],
        "labels": {
            RELEASE_LABEL: release.id,
            PROJECT_LABEL: project.name,
            OWNER_LABEL: owner,
            PAUSED_LABEL: paused,
        },
        "entrypoint": declaration.entrypoint,
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}],
        "work_pool_name": target.work_pool or declaration.pool,
        "work_queue_name": declaration.queue or "default",
        # Python ignores the option: it shows to everybody on the host which release a process works in
        "job_variables": declaration.job_variables | {"command": f"{python} -X release={folder} -m prefect.engine"},
        "parameters": declaration.parameters | target.parameters.get(flow.name, {}),
        "parameter_openapi_schema": flow.parameters,
        "enforce_parameter_schema": declaration.enforce_parameter_schema,
        "concurrency_limit": concurrency.limit if concurrency else None,
        "concurrency_options": concurrency.model_dump(mode="json", exclude={"limit"}, exclude_none=True)
        if concurrency
        else None,
        "schedules": schedules,
    }
    if declaration.paused is not None:
        fields["paused"] = declaration.paused
    return Resource(Deployments.title, f"{flow.name}/{target.name_prefix}{declaration.name}", fields)


def _with_mark(resource: Resource, owner: str) -> Resource:
    if resource.kind not in (Automations.title, Variables.title):
        return resource
    return Resource(resource.kind, resource.name, resource.fields | {"tags": [*resource.fields["tags"], owner]})
