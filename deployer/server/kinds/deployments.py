"""Deployments, by `<flow>/<deployment>`."""

import re
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentCreate, DeploymentScheduleCreate
from prefect.client.schemas.responses import DeploymentResponse

from deployer.model.differences import differences
from deployer.model.manifest import Resource
from deployer.server.kinds.deployment_schedules import merge_schedules
from deployer.server.kinds.kind import Comparison, Kind, ServerResource
from deployer.server.kinds.queries import all_deployments, flow_names_by_id

# Labels tell this repository's deployments from others
OWNER_LABEL = "platform.owner"
RELEASE_LABEL = "platform.release"
PROJECT_LABEL = "platform.project"
# The target has paused all schedules, whether a project pauses them or not
PAUSED_LABEL = "platform.schedules-paused"
# Fields that differ in every release
RELEASE_FIELDS = {
    "version",
    "pull_steps[0].prefect.deployments.steps.set_working_directory.directory",
    "job_variables.command",
    f"labels.{RELEASE_LABEL}",
}


class Deployments(Kind):
    """Marked by a label."""

    title = "deployment"

    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        flow_names = await flow_names_by_id(self._client)
        return {
            f"{flow_names[deployment.flow_id]}/{deployment.name}": ServerResource(
                deployment.id, _fields(deployment), (deployment.labels or {}).get(OWNER_LABEL) == self._owner
            )
            for deployment in await all_deployments(self._client)
            if deployment.flow_id in flow_names
        }

    def compare(self, resource: Resource, current: ServerResource) -> Comparison:
        desired = resource.fields
        # The server adds labels itself
        current_labels = {PAUSED_LABEL: False} | current.fields["labels"]
        resumes = current_labels[PAUSED_LABEL] and not desired["labels"].get(PAUSED_LABEL)
        labels = {key: value for key, value in current_labels.items() if key in desired["labels"]}
        without_schedules = {field: value for field, value in desired.items() if field != "schedules"}
        changed = differences(current.fields | {"labels": labels}, without_schedules)
        beyond_release = [difference for difference in changed if difference.field not in RELEASE_FIELDS]
        # Schedules that the target paused run again once it pauses them no longer; those paused by hand stay paused
        default = {"active": True} if resumes else {}
        schedules, changed_schedules = merge_schedules(
            [default | schedule for schedule in desired["schedules"]], current.fields["schedules"]
        )
        return Comparison(
            desired | {"schedules": schedules},
            beyond_release + changed_schedules,
            release_differs=len(beyond_release) < len(changed),
        )

    async def prepare(self, resources: list[Resource]) -> None:
        # several deployments of the same flow may be written at the same time
        for flow in sorted({resource.name.partition("/")[0] for resource in resources}):
            await self._client.create_flow_from_name(flow)

    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        flow, _, deployment = name.partition("/")
        flow_id = await self._client.create_flow_from_name(flow)
        body = DeploymentCreate.model_validate(fields | {"flow_id": flow_id, "name": deployment})
        # Not client.create_deployment(), which cannot send labels. The server updates a deployment of the same name
        # and replaces all its schedules.
        await self._client.request("POST", "/deployments/", json=body.model_dump(mode="json", exclude_unset=True))

    async def delete(self, current: ServerResource) -> None:
        await self._client.delete_deployment(current.id)


async def releases_in_use(client: PrefectClient) -> set[str]:
    """The releases that deployments run from, of every owner."""
    fields = {"path", "entrypoint", "pull_steps", "job_variables"}
    texts = [deployment.model_dump_json(include=fields) for deployment in await all_deployments(client)]
    return {release for text in texts for release in re.findall(r'/flows/releases/([^/"]+)', text)}


def _fields(deployment: DeploymentResponse) -> dict[str, Any]:
    fields = deployment.model_dump(mode="json")
    limit, options = deployment.global_concurrency_limit, deployment.concurrency_options
    fields["schedules"] = [
        schedule.model_dump(mode="json", include=set(DeploymentScheduleCreate.model_fields) - {"replaces"})
        for schedule in deployment.schedules
    ]
    fields["concurrency_limit"] = limit.limit if limit else None
    fields["concurrency_options"] = options.model_dump(mode="json", exclude_none=True) if options else None
    return fields
