"""The libraries that flows use most work in the sandbox of the worker."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from testinfra.host import Host
from waiting import until

HERE = Path(__file__).parent
FOLDER = "/var/lib/prefect-worker/default/libraries"
# As a deployment makes the environment of a project, from the same cache
ENVIRONMENT = "/opt/prefect/flows/envs/e2e-libraries"
BUILD = f"""
set -- /opt/prefect/envs/uv-*/bin/uv
export HOME=/var/lib/prefect-deploy UV_CACHE_DIR=/opt/prefect/flows/envs/.uv-cache
export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
$1 venv --quiet --clear --no-config --python /usr/bin/python3 {ENVIRONMENT}
$1 pip sync --quiet --no-config --require-hashes --python {ENVIRONMENT}/bin/python {ENVIRONMENT}.txt
"""


@pytest.fixture
def deployment(host: Host, client: SyncPrefectClient) -> Iterator[str]:
    """A project with all of them, which is gone afterwards."""
    host.check_output("install -d -o prefect-worker-default %s", FOLDER)
    host.check_output("rm -rf %s", ENVIRONMENT)
    for file, place in (
        ("libraries.txt", f"{ENVIRONMENT}.txt"),
        ("libraries.py", f"{FOLDER}/libraries.py"),
        ("uses_libraries.py", f"{FOLDER}/uses_libraries.py"),
    ):
        # too long for a command line
        subprocess.run(["docker", "cp", HERE / file, f"{os.environ['LAB_NAME']}-host:{place}"], check=True)
    host.check_output("runuser --user prefect-deploy -- sh -ec %s", BUILD)
    made = client.create_deployment(
        client.create_flow_from_name("e2e-libraries"),
        "e2e",
        entrypoint="uses_libraries.py:uses_libraries",
        work_pool_name="default",
        work_queue_name="default",
        job_variables={"command": f"{ENVIRONMENT}/bin/python -m prefect.engine"},
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": FOLDER}}],
    )
    yield "e2e-libraries/e2e"
    client.delete_deployment(made)
    host.check_output("rm -r %s %s %s.txt", FOLDER, ENVIRONMENT, ENVIRONMENT)


def test_they_work_where_flows_run(deployment: str, client: SyncPrefectClient, start: Callable[[str], FlowRun]) -> None:
    run = start(deployment)

    def ended() -> FlowRun | None:
        now = client.read_flow_run(run.id)
        return now if now.state.is_final() else None

    state = until(ended, within=300, what=f"the run {run.name} ends").state
    assert (state.name, state.message) == ("Completed", None)
