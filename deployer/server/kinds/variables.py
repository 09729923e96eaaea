"""Variables: values that flows read at run time, visible to everybody."""

from typing import Any

from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.client.schemas.objects import Variable

from deployer.server.kinds.kind import Kind, ServerResource
from deployer.server.kinds.queries import PAGE, all_pages


class Variables(Kind):
    """Marked by a tag."""

    title = "variable"

    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        async def page(offset: int) -> list[Variable]:
            # client.read_variables() gives the first page only
            body = {"limit": PAGE, "offset": offset}
            response = await self._client.request("POST", "/variables/filter", json=body)
            return [Variable.model_validate(variable) for variable in response.json()]

        return {
            variable.name: ServerResource(
                variable.name,
                variable.model_dump(mode="json", include={"value", "tags"}),
                self._owner in variable.tags,
            )
            for variable in await all_pages(page)
        }

    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        if current:
            await self._client.update_variable(VariableUpdate(name=name, **fields))
        else:
            await self._client.create_variable(VariableCreate(name=name, **fields))

    async def delete(self, current: ServerResource) -> None:
        await self._client.delete_variable_by_name(current.id)
