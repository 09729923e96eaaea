"""Variables: values that flows read at run time and that are no secret."""

from typing import Any

from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.client.schemas.objects import Variable

from deployer.server.kinds.kind import PAGE, Held, Kind, pages


class Variables(Kind):
    """Marked by a tag."""

    title = "variable"

    async def read(self, names: set[str]) -> dict[str, Held]:
        async def page(offset: int) -> list[Variable]:
            # client.read_variables() gives the first page only
            body = {"limit": PAGE, "offset": offset}
            response = await self._client.request("POST", "/variables/filter", json=body)
            return [Variable.model_validate(each) for each in response.json()]

        return {
            each.name: Held(
                each.name, each.model_dump(mode="json", include={"value", "tags"}), self._owner in each.tags
            )
            for each in await pages(page)
        }

    async def write(self, name: str, fields: dict[str, Any], held: Held | None) -> None:
        if held:
            await self._client.update_variable(VariableUpdate(name=name, **fields))
        else:
            await self._client.create_variable(VariableCreate(name=name, **fields))

    async def delete(self, held: Held) -> None:
        await self._client.delete_variable_by_name(held.id)
