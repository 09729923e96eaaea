"""Deployments, by `<flow>/<deployment>`."""

import re
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentCreate, DeploymentScheduleCreate
from prefect.client.schemas.objects import Flow
from prefect.client.schemas.responses import DeploymentResponse

from deployer.model.differences import differences
from deployer.model.manifest import Resource
from deployer.server.kinds.deployment_schedules import schedules_over
from deployer.server.kinds.kind import PAGE, Comparison, Held, Kind, deployments, pages

# Labels tell what this repository registered from what others did
OWNER_LABEL = "platform.owner"
RELEASE_LABEL = "platform.release"
PROJECT_LABEL = "platform.project"
# The target has paused all schedules, whatever the projects say
PAUSED_LABEL = "platform.schedules-paused"
# What every release has of its own
OF_THE_RELEASE = {
    "version",
    "pull_steps[0].prefect.deployments.steps.set_working_directory.directory",
    "job_variables.command",
    f"labels.{RELEASE_LABEL}",
}


class Deployments(Kind):
    """Marked by a label."""

    title = "deployment"

    async def read(self, names: set[str]) -> dict[str, Held]:
        async def page_of_flows(offset: int) -> list[Flow]:
            return await self._client.read_flows(limit=PAGE, offset=offset)

        flows = {flow.id: flow.name for flow in await pages(page_of_flows)}
        return {
            f"{flows[each.flow_id]}/{each.name}": Held(
                each.id, _fields(each), each.labels.get(OWNER_LABEL) == self._owner
            )
            for each in await deployments(self._client)
            if each.flow_id in flows
        }

    def compare(self, resource: Resource, held: Held) -> Comparison:
        wanted = resource.fields
        # The server adds labels of its own
        labels = {PAUSED_LABEL: False} | held.fields["labels"]
        paused_no_more = labels[PAUSED_LABEL] and not wanted["labels"].get(PAUSED_LABEL)
        labels = {key: value for key, value in labels.items() if key in wanted["labels"]}
        plain = {field: value for field, value in wanted.items() if field != "schedules"}
        found = differences(held.fields | {"labels": labels}, plain)
        rest = [each for each in found if each.field not in OF_THE_RELEASE]
        # What a target paused runs again once it does so no more; what was paused by hand stays
        open_ = {"active": True} if paused_no_more else {}
        schedules, changed = schedules_over([open_ | each for each in wanted["schedules"]], held.fields["schedules"])
        return Comparison(wanted | {"schedules": schedules}, rest + changed, released=len(rest) < len(found))

    async def prepare(self, resources: list[Resource]) -> None:
        # the same flow may have several deployments, which are written at the same time
        for flow in sorted({each.name.partition("/")[0] for each in resources}):
            await self._client.create_flow_from_name(flow)

    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        flow, _, deployment = name.partition("/")
        flow_id = await self._client.create_flow_from_name(flow)
        body = DeploymentCreate.model_validate(fields | {"flow_id": flow_id, "name": deployment})
        # Not client.create_deployment(), which cannot send labels. The server updates a deployment of the same name
        # and replaces all its schedules.
        await self._client.request("POST", "/deployments/", json=body.model_dump(mode="json", exclude_unset=True))

    async def delete(self, held: Held) -> None:
        await self._client.delete_deployment(held.id)


async def releases(client: PrefectClient) -> set[str]:
    """The releases that deployments run from, whoever registered them."""
    where = {"path", "entrypoint", "pull_steps", "job_variables"}
    named = [each.model_dump_json(include=where) for each in await deployments(client)]
    return {release for text in named for release in re.findall(r'/flows/releases/([^/"]+)', text)}


def _fields(held: DeploymentResponse) -> dict[str, Any]:
    fields = held.model_dump(mode="json")
    limit, options = held.global_concurrency_limit, held.concurrency_options
    fields["schedules"] = [
        each.model_dump(mode="json", include=set(DeploymentScheduleCreate.model_fields) - {"replaces"})
        for each in held.schedules
    ]
    fields["concurrency_limit"] = limit.limit if limit else None
    fields["concurrency_options"] = options.model_dump(mode="json", exclude_none=True) if options else None
    return fields
