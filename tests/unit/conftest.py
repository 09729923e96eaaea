"""Projects written for the occasion, and one real Prefect server."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import ansible.plugins.loader  # noqa: F401 - refuses to be imported after Prefect, which adds an import hook
import hypothesis
import pytest
from warm_server import Server, shared_server

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from deployer.flows.inspection import Flow, inspect  # noqa: E402

# An example may take its time on a machine that has other things to do.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages name the environment that a command was typed for: here none."""
    monkeypatch.delenv("ENV", raising=False)


LOCK = "prefect==3.9.1 \\\n    --hash=sha256:00\n    # via -r requirements.in\n"
FLOW = '''
from datetime import date
from typing import Literal

from prefect import flow


@flow
def hello(who: str, times: int = 1, day: date | None = None, mood: Literal["glad", "sad"] = "glad"):
    """Says hello."""


@flow(name="ciao")
def goodbye():
    """Says goodbye."""
'''
PREFECT = """
name: {name}
deployments:
  - name: daily
    entrypoint: flow.py:goodbye
"""

WriteProject = Callable[..., Path]


RESOURCES = "work_pools: [{name: default}]\n"
TARGETS = """
name: shop
targets:
  lab: {mode: development}
  production: {mode: production}
"""


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """A folder without projects, with the default pool and two targets."""
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "resources.yml").write_text(RESOURCES)
    (folder / "targets.yml").write_text(TARGETS)
    return folder


@pytest.fixture
def flow_source() -> str:
    """The flows of a right project."""
    return FLOW


@pytest.fixture
def write_project(flows: Path) -> WriteProject:
    """Writes a project: a right one, but for what a test gives in place of its files (None leaves a file out)."""

    def write(name: str = "shop", **files: str | None) -> Path:
        right = {"prefect.yaml": PREFECT.format(name=name), "flow.py": FLOW, "requirements.txt": LOCK}
        overrides = {
            file.replace("_yaml", ".yaml").replace("_py", ".py").replace("_txt", ".txt"): files[file] for file in files
        }
        folder = flows / name
        folder.mkdir(exist_ok=True)
        for file, text in (right | overrides).items():
            if text is not None:
                (folder / file).write_text(text)
        return folder

    return write


@pytest.fixture(autouse=True)
def no_earlier_inspections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test imports its flows itself."""
    monkeypatch.setattr("deployer.flows.inspection.CACHE", tmp_path / "inspections")


@pytest.fixture
def python_of() -> Callable[[object], Path]:
    """Has projects imported by the Python that runs the tests, so that no environment is built."""
    return lambda _project: Path(sys.executable)


@pytest.fixture(scope="session")
def inspect_once() -> Callable[[Path, Mapping[Path, Iterable[str]]], dict[Path, dict[str, Flow | str]]]:
    """Asks flows what they are, those of the same source once: Prefect's import takes a second."""
    answers: dict[tuple, dict[str, Flow | str]] = {}

    def key(python: Path, folder: Path, entrypoints: Iterable[str]) -> tuple:
        modules = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.py")}
        return python, frozenset(modules.items()), frozenset(entrypoints)

    def call(python: Path, projects: Mapping[Path, Iterable[str]]) -> dict[Path, dict[str, Flow | str]]:
        keys = {folder: key(python, folder, entrypoints) for folder, entrypoints in projects.items()}
        unasked = {folder: projects[folder] for folder in projects if keys[folder] not in answers}
        if unasked:
            answers.update((keys[folder], answer) for folder, answer in inspect(python, unasked).items())
        return {folder: answers[keys[folder]] for folder in projects}

    return call


@pytest.fixture(autouse=True)
def _inspected_once(inspect_once, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.check.projects.inspect", inspect_once)


@pytest.fixture(scope="session")
def right_flows(inspect_once, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Flow | str]:
    """What the flows of a right project say of themselves."""
    folder = tmp_path_factory.mktemp("right")
    (folder / "flow.py").write_text(FLOW)
    return inspect_once(Path(sys.executable), {folder: ["flow.py:hello", "flow.py:goodbye"]})[folder]


@pytest.fixture
def imported(_inspected_once, right_flows: dict[str, Flow | str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the import of flows: all projects have those of a right one."""
    monkeypatch.setattr(
        "deployer.check.projects.inspect", lambda python, projects: dict.fromkeys(projects, right_flows)
    )


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server behind a password, on a free port of the loopback, the same one for all tests of the run."""
    with shared_server(tmp_path_factory, "server", "--no-services") as server:
        yield server


@pytest.fixture(scope="session")
def server_with_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that does what has to be done by itself, and sooner than by default."""
    eager = {
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "2",
        "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "host.leases",
    }
    with shared_server(tmp_path_factory, "server-with-services", **eager) as server:
        yield server
