"""What the server says, by the Prefect client."""

import asyncio
import ssl

from prefect.client.orchestration import get_client

# Made once: to read all authorities takes longer than most answers.
TLS = ssl.create_default_context()


def ask(method: str, *arguments, **options):
    """Call a method of the Prefect client."""

    async def call():
        async with get_client(httpx_settings={"verify": TLS}) as client:
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(call())


def registered() -> list[str]:
    """Names of all deployments."""
    # Deployments first: a flow is created before its deployments, by other tests on the same server too
    deployments = ask("read_deployments")
    flows = {flow.id: flow.name for flow in ask("read_flows")}
    return [f"{flows[deployment.flow_id]}/{deployment.name}" for deployment in deployments]
