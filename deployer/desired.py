"""What the server should hold: pure values made from what the files declare, the target, and the release."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from deployer.check import Checked, Deployment
from deployer.files.targets_yml import Target
from deployer.flows.environments import lock_hash
from deployer.model.manifest import Resource, State, check_release
from deployer.server.kinds.automations import Automations
from deployer.server.kinds.deployments import OWNER_LABEL, PAUSED_LABEL, PROJECT_LABEL, RELEASE_LABEL, Deployments
from deployer.server.kinds.variables import Variables
from deployer.server.kinds.work_pools import WorkPools


@dataclass(frozen=True)
class Release:
    """A release on the worker hosts, and where its environments are."""

    id: str
    flows_root: PurePosixPath
    envs_root: PurePosixPath

    def __post_init__(self) -> None:
        check_release(self.id)

    def folder(self, project: str) -> PurePosixPath:
        """Where the release keeps a project's code."""
        return self.flows_root / "releases" / self.id / project

    def python(self, project: str, hash_: str) -> PurePosixPath:
        """The Python of a project's environment."""
        return self.envs_root / f"{project}-{hash_}" / "bin" / "python"


def desired(checked: Checked, release: Release, work_pools: Iterable[str]) -> State:
    """The state that `release` should have on the server; `work_pools` are those that workers serve."""
    target, owner = checked.targets.target, checked.targets.owner
    deployments = [_deployment(each, release, target, owner) for each in checked.deployments]
    if target and target.name_prefix:  # the target without one has the rest
        return State(release.id, owner, deployments)
    declared = [_marked(each, owner) for each in checked.resources.resources.values()]
    resources = WorkPools.undeclared(work_pools, declared) + declared + deployments
    return State(release.id, owner, resources, checked.resources.blocks)


def _deployment(deployment: Deployment, release: Release, target: Target | None, owner: str) -> Resource:
    declared, flow, project = deployment.declaration, deployment.flow, deployment.project
    target = target or Target(mode="development")
    python = release.python(project.name, lock_hash(project.folder / "requirements.txt"))
    folder = release.folder(project.name)
    concurrency = declared.concurrency
    schedules = [each.model_dump(mode="json", exclude_unset=True) for each in declared.schedules.values()]
    paused = target.schedules == "paused"
    if paused:
        schedules = [each | {"active": False} for each in schedules]
    fields = {
        "version": release.id,
        # the server keeps the one it has when it is told that there is none
        "description": declared.description or flow.description or "",
        "tags": [*declared.tags, *(tag for tag in target.tags if tag not in declared.tags)],
        "labels": {
            RELEASE_LABEL: release.id,
            PROJECT_LABEL: project.name,
            OWNER_LABEL: owner,
            PAUSED_LABEL: paused,
        },
        "entrypoint": declared.entrypoint,
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}],
        "work_pool_name": target.work_pool or declared.pool,
        "work_queue_name": declared.queue or "default",
        # Python ignores the option: it shows to everybody on the host which release a process works in
        "job_variables": declared.job_variables | {"command": f"{python} -X release={folder} -m prefect.engine"},
        "parameters": declared.parameters | target.parameters.get(flow.name, {}),
        "parameter_openapi_schema": flow.parameters,
        "enforce_parameter_schema": declared.enforce_parameter_schema,
        "concurrency_limit": concurrency.limit if concurrency else None,
        "concurrency_options": concurrency.model_dump(mode="json", exclude={"limit"}, exclude_none=True)
        if concurrency
        else None,
        "schedules": schedules,
    }
    if declared.paused is not None:
        fields["paused"] = declared.paused
    return Resource(Deployments.title, f"{flow.name}/{target.name_prefix}{declared.name}", fields)


def _marked(resource: Resource, owner: str) -> Resource:
    if resource.kind not in (Automations.title, Variables.title):
        return resource
    return Resource(resource.kind, resource.name, resource.fields | {"tags": [*resource.fields["tags"], owner]})
