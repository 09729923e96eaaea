"""What flows say of themselves, asked in their projects' own environments."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.errors import one_line

SCRIPT = Path(__file__).with_name("inspect_flows.py")
TIMEOUT = 120


@dataclass(frozen=True)
class Flow:
    """A flow as its deployments need it."""

    name: str
    description: str | None
    parameters: dict[str, Any]


def inspect(python: Path, projects: Mapping[Path, Iterable[str]]) -> dict[Path, dict[str, Flow | str]]:
    """The flows at the entrypoints of each folder, or the reason why one cannot be imported.

    All the projects are asked with the same Python.
    """
    asked = {folder: sorted(set(entrypoints)) for folder, entrypoints in projects.items()}
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


def _answer(file: Path, entrypoints: list[str], done: subprocess.CompletedProcess[str]) -> dict[str, Flow | str]:
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
