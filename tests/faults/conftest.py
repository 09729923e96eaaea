"""The lab under a steady load, while it is broken on purpose."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# What the server refuses is seen at once
os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "0"

import docker
import pytest
from docker.models.containers import Container
from prefect.client.orchestration import SyncPrefectClient, get_client

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from lab import Site  # noqa: E402
from load import Load  # noqa: E402
from testinfra.host import Host  # noqa: E402
from waiting import until  # noqa: E402

NEEDED = ("LAB_NAME", "LAB_DIR", "LAB_PORT_OFFSET", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
if missing := [name for name in NEEDED if name not in os.environ]:
    pytest.exit(f"tests/faults: {', '.join(missing)} not set: run these tests with `make test-faults`", returncode=2)
FIGURES = ROOT / ".cache/reports/faults.json"


@pytest.fixture(scope="session")
def client() -> Iterator[SyncPrefectClient]:
    """Prefect's own client."""
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="session")
def container() -> Container:
    """The lab's host."""
    return docker.from_env().containers.get(f"{os.environ['LAB_NAME']}-host")


@pytest.fixture(scope="module")
def load(client: SyncPrefectClient, host: Host) -> Iterator[Load]:
    """The runs of all these tests."""
    load = Load(client, host)
    yield load
    load.remove()


@pytest.fixture
def healthy(host: Host) -> Callable[[], None]:
    """The platform is as it should be, and nobody has helped."""
    site = Site.of_environment()

    def ready() -> bool:
        try:
            return site.get("/api/ready").ok and not host.check_output(
                "systemctl list-units --failed --plain --no-legend --no-pager"
            )
        except (OSError, AssertionError):
            return False

    return lambda: until(ready, within=120, what="the server answers, and no unit has failed")


@pytest.fixture
def recovered(load: Load, client: SyncPrefectClient) -> Callable[[], float]:
    """Seconds until a run that is triggered now is Completed."""

    def recovered() -> float:
        start = time.monotonic()
        run = load.trigger()

        until(lambda: (state := load.state(run)) and state.is_completed(), within=300, what="a new run completes")
        return round(time.monotonic() - start, 1)

    return recovered


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """What a test measures, for docs/reliability.md."""
    figures: dict[str, object] = {}
    yield figures
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps(kept | {request.node.name: figures}, indent=1))
