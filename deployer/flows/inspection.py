"""What flows say of themselves, asked in their projects' own environments.

An import takes a second, so answers are kept: a project is asked again when the content of its files has changed.
"""

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployer.model.errors import one_line

SCRIPT = Path(__file__).with_name("inspect_flows.py")
TIMEOUT = 120
CACHE = Path(__file__).parents[2] / ".cache" / "inspections"

Answers = dict[str, "Flow | str"]


@dataclass(frozen=True)
class Flow:
    """A flow as its deployments need it."""

    name: str
    description: str | None
    parameters: dict[str, Any]


def inspect(python: Path, projects: Mapping[Path, Iterable[str]]) -> dict[Path, Answers]:
    """The flows at the entrypoints of each folder, or the reason why one cannot be imported.

    All the projects are asked with the same Python.
    """
    asked = {folder: sorted(set(entrypoints)) for folder, entrypoints in projects.items()}
    states = {folder: _state(python, folder, entrypoints) for folder, entrypoints in asked.items()}
    answers = {folder: kept for folder, state in states.items() if (kept := _recall(folder, state))}
    for folder, flows in _ask(python, {folder: asked[folder] for folder in asked if folder not in answers}).items():
        answers[folder] = flows
        _keep(folder, states[folder], flows)
    return answers


def _state(python: Path, folder: Path, entrypoints: list[str]) -> str:
    """What the answers depend on: the environment, the question, and the project's files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    state = hashlib.sha256(repr((str(python), entrypoints)).encode())
    for path in [SCRIPT, *files]:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        state.update(repr((os.path.relpath(path, folder) if path != SCRIPT else "", content)).encode())
    return state.hexdigest()


def _kept(folder: Path) -> Path:
    # By name: the folder of what would be shipped is another one each time
    return CACHE / f"{folder.name}.json"


def _recall(folder: Path, state: str) -> Answers | None:
    try:
        kept = json.loads(_kept(folder).read_text())
    except (OSError, ValueError):
        return None
    if kept["state"] != state:
        return None
    return {entrypoint: Flow(**flow) for entrypoint, flow in kept["flows"].items()}


def _keep(folder: Path, state: str, answers: Answers) -> None:
    flows = {entrypoint: asdict(flow) for entrypoint, flow in answers.items() if isinstance(flow, Flow)}
    if len(flows) < len(answers):  # a failure may be over at the next try
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=CACHE, delete=False) as file:
        json.dump({"state": state, "flows": flows}, file)
    Path(file.name).replace(_kept(folder))


def _ask(python: Path, asked: dict[Path, list[str]]) -> dict[Path, Answers]:
    if not asked:
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(  # noqa: S603 - the projects' own Python
            [python, "-P", SCRIPT, scratch, str(TIMEOUT)],  # -P: this package must not shadow what flows import
            input=json.dumps({str(folder): entrypoints for folder, entrypoints in asked.items()}),
            env=_environment(scratch),
            capture_output=True,
            text=True,
        )
        return {
            folder: _answer(Path(scratch, f"{number}.json"), entrypoints, done)
            for number, (folder, entrypoints) in enumerate(asked.items())
        }


def _answer(file: Path, entrypoints: list[str], done: subprocess.CompletedProcess[str]) -> Answers:
    if file.exists():
        flows = json.loads(file.read_text())
        return {entrypoint: flow.get("error") or Flow(**flow) for entrypoint, flow in flows.items()}
    own = file.with_suffix(".err")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        said = f"the project's Python failed: {one_line(last)}"
    elif lines := own.read_text(errors="replace").strip().splitlines():
        said = f"the project's Python failed: {one_line(lines[-1])}"
    else:
        said = f"importing takes more than {TIMEOUT} s, or ends Python: do the work inside the flow"
    return dict.fromkeys(entrypoints, said)


def _environment(home: str) -> dict[str, str]:
    """This process's environment without server or password: importing a flow must not need either."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
    return kept | {
        "PREFECT_HOME": home,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
