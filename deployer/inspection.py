"""What a project's flows say of themselves, asked in the project's own environment."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
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


def inspect(python: Path, folder: Path, entrypoints: Iterable[str]) -> dict[str, Flow | str]:
    """The flow at each entrypoint, or the reason why it cannot be imported."""
    entrypoints = sorted(set(entrypoints))
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch, "flows.json")
        try:
            done = subprocess.run(  # noqa: S603 - the project's own Python
                [python, "-P", SCRIPT, answer, *entrypoints],  # -P: this package must not shadow what flows import
                cwd=folder,
                env=_environment(scratch),
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return dict.fromkeys(entrypoints, f"importing takes more than {TIMEOUT} s: do the work inside the flow")
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            return dict.fromkeys(entrypoints, f"the project's Python failed: {one_line(last)}")
        flows = json.loads(answer.read_text())
    return {entrypoint: flow.get("error") or Flow(**flow) for entrypoint, flow in flows.items()}


def _environment(home: str) -> dict[str, str]:
    """This process's environment without server or password: importing a flow must not need either."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
    return kept | {
        "PREFECT_HOME": home,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
