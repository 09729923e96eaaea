"""The lab as its users meet it: over HTTPS, through nginx, with the settings that `make env` gives."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from lab import ROOT, Site
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from pydantic import SecretStr
from waiting import until

NEEDED = ("LAB_DIR", "LAB_PORT_OFFSET", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_API_SSL_CERT_FILE")
if missing := [name for name in NEEDED if name not in os.environ]:
    pytest.exit(f"tests/e2e: {', '.join(missing)} not set: run these tests with `make test`", returncode=2)


MADE_HERE = (".venv", ".cache", ".lab")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the clone that drives the same lab: tests that run beside these do not see the projects added to it."""
    ignored = shutil.ignore_patterns(*MADE_HERE, "__pycache__", ".*_cache", ".hypothesis", "results", "target")
    clone = shutil.copytree(ROOT, tmp_path_factory.mktemp("clone") / "prefect", symlinks=True, ignore=ignored)
    for name in MADE_HERE:
        (clone / name).symlink_to(ROOT / name)
    return clone


@pytest.fixture(scope="session")
def site() -> Site:
    """The lab's site."""
    return Site.of_environment()


@pytest.fixture(scope="session")
def login() -> SecretStr:
    """User and password of the administrator, as one."""
    return SecretStr(os.environ["PREFECT_API_AUTH_STRING"])


@pytest.fixture(scope="session")
def client() -> Iterator[SyncPrefectClient]:
    """Prefect's own client."""
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="session")
def start(client: SyncPrefectClient) -> Callable[..., FlowRun]:
    """Start a run of a deployment, with its own parameters or with others."""

    def start(deployment: str, **parameters: object) -> FlowRun:
        found = client.read_deployment_by_name(deployment)
        return client.create_flow_run_from_deployment(found.id, parameters=parameters, tags=["e2e"])

    return start


@pytest.fixture(scope="session")
def finish(client: SyncPrefectClient) -> Callable[[FlowRun], FlowRun]:
    """Wait until a run has ended."""

    def finish(run: FlowRun) -> FlowRun:
        def ended() -> FlowRun | None:
            now = client.read_flow_run(run.id)
            return now if now.state.is_final() else None

        return until(ended, within=120, what=f"the run {run.name} ends")

    return finish


@pytest.fixture(scope="session")
def finished(start: Callable[[str], FlowRun], finish: Callable[[FlowRun], FlowRun]) -> Callable[[str], FlowRun]:
    """A run of a deployment that has ended: the same one for all who ask."""
    return cache(lambda deployment: finish(start(deployment)))
