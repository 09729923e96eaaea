"""What a project's flows are, asked in its own environment.

An import takes a second, so answers are kept until a file of the project or its environment changes.
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
# Seconds for the import of one project
TIMEOUT = 120
CACHE = Path(__file__).parents[2] / ".cache" / "inspections"

# By entrypoint: the flow, or the reason why it cannot be imported
Answers = dict[str, "Flow | str"]


@dataclass(frozen=True)
class Flow:
    """A flow as its deployments need it."""

    name: str
    description: str | None
    parameters: dict[str, Any]


def inspect(python: Path, projects: Mapping[Path, Iterable[str]]) -> dict[Path, Answers]:
    """The answers of `python` for the entrypoints of each folder."""
    questions = {folder: sorted(set(entrypoints)) for folder, entrypoints in projects.items()}
    fingerprints = {folder: _fingerprint(python, folder, entrypoints) for folder, entrypoints in questions.items()}
    answers = {
        folder: kept for folder, fingerprint in fingerprints.items() if (kept := _kept_answers(folder, fingerprint))
    }
    unanswered = {folder: questions[folder] for folder in questions if folder not in answers}
    for folder, flows in _ask(python, unanswered).items():
        answers[folder] = flows
        _keep(folder, fingerprints[folder], flows)
    return answers


def _fingerprint(python: Path, folder: Path, entrypoints: list[str]) -> str:
    """What the answers depend on: the environment, the question, and the project's files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    fingerprint = hashlib.sha256(repr((str(python), entrypoints)).encode())
    for path in [SCRIPT, *files]:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        fingerprint.update(repr((os.path.relpath(path, folder) if path != SCRIPT else "", content)).encode())
    return fingerprint.hexdigest()


def _cache_file(folder: Path) -> Path:
    # By name: the files of a release are unpacked into a new folder every time
    return CACHE / f"{folder.name}.json"


def _kept_answers(folder: Path, fingerprint: str) -> Answers | None:
    try:
        kept = json.loads(_cache_file(folder).read_text())
    except (OSError, ValueError):
        return None
    if kept.get("fingerprint") != fingerprint:
        return None
    return {entrypoint: Flow(**flow) for entrypoint, flow in kept["flows"].items()}


def _keep(folder: Path, fingerprint: str, answers: Answers) -> None:
    flows = {entrypoint: asdict(flow) for entrypoint, flow in answers.items() if isinstance(flow, Flow)}
    if len(flows) < len(answers):  # the next import may succeed
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=CACHE, delete=False) as file:
        json.dump({"fingerprint": fingerprint, "flows": flows}, file)
    Path(file.name).replace(_cache_file(folder))


def _ask(python: Path, questions: dict[Path, list[str]]) -> dict[Path, Answers]:
    if not questions:
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        completed = subprocess.run(  # noqa: S603 - the projects' own Python
            [python, "-P", SCRIPT, scratch, str(TIMEOUT)],  # -P: this package must not shadow what flows import
            input=json.dumps({str(folder): entrypoints for folder, entrypoints in questions.items()}),
            env=_environment(scratch),
            capture_output=True,
            text=True,
        )
        return {
            folder: _answers(Path(scratch, f"{number}.json"), entrypoints, completed)
            for number, (folder, entrypoints) in enumerate(questions.items())
        }


def _answers(file: Path, entrypoints: list[str], completed: subprocess.CompletedProcess[str]) -> Answers:
    if file.exists():
        flows = json.loads(file.read_text())
        return {entrypoint: flow.get("error") or Flow(**flow) for entrypoint, flow in flows.items()}
    output = file.with_suffix(".err")
    if completed.returncode:
        last = (completed.stderr.strip().splitlines() or [f"exit code {completed.returncode}"])[-1]
        reason = f"the project's Python failed: {one_line(last)}"
    elif lines := output.read_text(errors="replace").strip().splitlines():
        reason = f"the project's Python failed: {one_line(lines[-1])}"
    else:
        reason = f"importing takes more than {TIMEOUT} s, or ends Python: do the work inside the flow"
    return dict.fromkeys(entrypoints, reason)


def _environment(home: str) -> dict[str, str]:
    """This process's environment without server or password: importing a flow must not need either."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
    return kept | {
        "PREFECT_HOME": home,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
