"""Copies of the lab, each under a steady load, while they are broken on purpose."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

# What the server refuses is seen at once
os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "0"

import docker
import pytest
from docker.models.containers import Container
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import upgrading  # noqa: E402
from lab import Site  # noqa: E402
from load import RUNS, Load  # noqa: E402
from testinfra.host import Host  # noqa: E402
from upgrading import OLDER, OLDER_LIMITS, Platform, locks_of  # noqa: E402
from waiting import until  # noqa: E402

NEEDED = ("LAB_NAME", "LAB_DIR", "LAB_PORT_OFFSET", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
if missing := [name for name in NEEDED if name not in os.environ]:
    pytest.exit(f"tests/faults: {', '.join(missing)} not set: run these tests with `make test-faults`", returncode=2)
FILES = sorted(Path(__file__).parent.glob("test_*.py"))


@pytest.fixture(scope="module", autouse=True)
def lab(request: pytest.FixtureRequest) -> Iterator[str]:
    """A copy of the lab for this file alone: the settings of all that is run meanwhile are those of the copy."""
    original, file = os.environ["LAB_NAME"], request.path
    name = f"{original}-{file.stem.removeprefix('test_').replace('_', '-')}"
    ports = 100 * (FILES.index(file) + 1)
    url = urlsplit(os.environ["PREFECT_API_URL"])
    url = url._replace(netloc=f"{url.hostname}:{url.port + ports}").geturl()
    with pytest.MonkeyPatch.context() as settings, temporary_settings({PREFECT_API_URL: url}):
        settings.setenv("LAB_ORIGINAL", original)
        settings.setenv("LAB_NAME", name)
        settings.setenv("LAB_DIR", str(ROOT / ".lab" / name))
        settings.setenv("STATE_DIR", os.environ["LAB_DIR"])
        settings.setenv("LAB_PORT_OFFSET", str(int(os.environ["LAB_PORT_OFFSET"]) + ports))
        settings.setenv("PREFECT_API_URL", url)
        try:
            play("copy.yml")
            yield name
        finally:
            play("down.yml")


def play(playbook: str) -> None:
    """Make or remove the lab that the settings name."""
    done = subprocess.run(["ansible-playbook", ROOT / "compose" / playbook], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{playbook}:\n{done.stdout}{done.stderr}", pytrace=False)


@pytest.fixture(scope="module")
def client(lab: str) -> Iterator[SyncPrefectClient]:
    """Prefect's own client."""
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def host(lab: str, reach: Callable[[], Host]) -> Host:
    """The lab's host."""
    return reach()


@pytest.fixture(scope="module")
def container(lab: str) -> Container:
    """The lab's host, as Docker sees it."""
    return docker.from_env().containers.get(f"{lab}-host")


@pytest.fixture(scope="module")
def load(request: pytest.FixtureRequest, client: SyncPrefectClient, host: Host) -> Iterator[Load]:
    """The runs of all tests of a file. At its end none of them is lost, and no slot stays taken."""
    load = Load(client, host)
    yield load
    until(lambda: not any(load.taken().values()), within=60, what="all slots are free")
    write(request.path, "all runs", dict(load.settle()))


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that name locks of the older Prefect."""
    return locks_of(tmp_path_factory.mktemp("older"), f"prefect=={OLDER}", *OLDER_LIMITS)


@pytest.fixture(scope="module")
def older_platform(host: Host, client: SyncPrefectClient, older: Path) -> Platform:
    """The lab with the older Prefect, and with runs from before it went back."""
    platform = Platform.with_runs(host, client)
    platform.data_before = platform.data()
    answer = upgrading.make("upgrade", "CONFIRM=1", locks=older)
    assert answer.code == 0, answer.output
    return platform


@pytest.fixture
def ended(load: Load) -> Callable[[], dict[str, int]]:
    """What became of the runs of this test, when all of them are over."""
    before = load.settle()

    def ended() -> dict[str, int]:
        after = load.settle()
        assert not before - after, "what had ended has another state now"
        became = after - before
        assert became.total() >= RUNS
        return dict(became)

    return ended


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
    write(request.path, request.node.name, figures)


def write(file: Path, name: str, figures: dict[str, object]) -> None:
    """Add to the figures of a file."""
    report = ROOT / f".cache/reports/faults-{file.stem.removeprefix('test_')}.json"
    kept = json.loads(report.read_text()) if report.exists() else {}
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(kept | {name: figures}, indent=1))
