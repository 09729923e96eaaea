"""A server that was switched off comes back by itself, with all it knew, and works."""

import os
from collections.abc import Callable

import docker
import requests
from lab import Site
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from waiting import until

DEPLOYMENT = "db_dump/shop-postgres"


def test_everything_comes_back_by_itself_and_a_run_completes(
    site: Site,
    client: SyncPrefectClient,
    start: Callable[[str], FlowRun],
    finish: Callable[[FlowRun], FlowRun],
    finished: Callable[[str], FlowRun],
) -> None:
    before = finished(DEPLOYMENT)
    server = docker.from_env().containers.get(f"{os.environ['LAB_NAME']}-host")
    server.stop(timeout=60)
    server.start()

    def ready() -> bool:
        try:
            return site.get("/api/ready").ok
        except requests.ConnectionError:
            return False

    until(ready, within=120, what="the server is ready again")
    assert finish(start(DEPLOYMENT)).state.is_completed()
    assert client.read_flow_run(before.id).state == before.state
    failed = server.exec_run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"])
    assert failed.output == b"", "a unit did not come back"
