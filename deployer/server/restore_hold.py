"""The hold of a restore (ansible/restore.yml): queues created afterwards are paused too, until `make resume`."""

from typing import cast

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import VariableUpdate

from deployer.server.kinds.work_pools import WorkQueues

# The server's variable with the ids of the paused queues; without it, no restore holds the work
HOLD_VARIABLE = "platform_restore_holds"


async def hold_queues(client: PrefectClient, pools: set[str], queues: set[str]) -> None:
    """Pause these queues (`<pool>/<queue>`), and those of these pools, if a restore holds the work."""
    if not (pools or queues) or not (hold := await client.read_variable_by_name(HOLD_VARIABLE)):
        return
    new_ids = [
        queue.id
        for name, queue in (await WorkQueues(client, "").read(queues)).items()
        if (name in queues or name.rpartition("/")[0] in pools) and not queue.fields["is_paused"]
    ]
    # Noted first: a noted queue that runs does no harm, a paused queue that is not noted would stay paused
    held_ids = cast("list[str]", hold.value)
    await client.update_variable(VariableUpdate(name=HOLD_VARIABLE, value=[*held_ids, *map(str, new_ids)]))
    for id_ in new_ids:
        await client.update_work_queue(id_, is_paused=True)
