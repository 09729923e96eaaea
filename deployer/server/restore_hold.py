"""Work that a restore holds (ansible/restore.yml): queues that come afterwards are held too, until `make resume`."""

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import VariableUpdate

from deployer.server.kinds.kind import Kind
from deployer.server.kinds.work_pools import WorkQueues

# The server's variable that keeps the ids of what is held; without it, nothing is
HELD = "platform_restore_holds"


async def hold(client: PrefectClient, pools: set[str], queues: set[str]) -> None:
    """Pause these queues (`<pool>/<queue>`), and those of these pools, if a restore holds the work."""
    if not (pools or queues) or not (holding := await client.read_variable_by_name(HELD)):
        return
    kind: Kind = WorkQueues(client, "")
    new = [
        queue.id
        for name, queue in (await kind.read(queues)).items()
        if (name in queues or name.rpartition("/")[0] in pools) and not queue.fields["is_paused"]
    ]
    # What is remembered and not paused does no harm, the other way round it would stay paused
    await client.update_variable(VariableUpdate(name=HELD, value=[*holding.value, *map(str, new)]))
    for queue in new:
        await client.update_work_queue(queue, is_paused=True)
