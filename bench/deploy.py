"""How long `deploy.py` takes for 100 projects of three deployments each, on the lab, beside `prefect deploy --all`.

`make bench-deploy` runs it with the settings of the lab. The program prints a table, writes its figures to
bench/results/deploy.json, and removes the deployments that it registered.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

ROOT = Path(__file__).parents[1]
PROJECTS, ROUNDS = 100, 5
MAX_SECONDS = 10.0  # for check, for a plan without changes, and for an apply without changes
NAME = "bench-deploy"
AUTHOR = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]

FLOW = '''"""Loads one table."""

from datetime import date
from typing import Literal

from prefect import flow, task


@task
def load(table: str, day: date | None) -> int:
    return 0


@flow(name="bench-{number}")
def pipeline(table: str = "orders", day: date | None = None, mode: Literal["append", "overwrite"] = "append") -> None:
    """Loads one table.

    Args:
        table: Its name.
        day: The day, or all of them.
        mode: Whether existing rows stay.
    """
    load(table, day)
'''
DEPLOYMENT = """  - name: {name}
    entrypoint: flow.py:pipeline
    description: Loads {name}
    tags: [bench-deploy]
    parameters: {{table: {name}}}
    work_pool: {{name: bench-deploy}}
    schedules:
      - {{cron: "{minute} 2 * * *", timezone: Europe/Paris, active: false}}
"""


def write(flows: Path) -> None:
    """Write the projects, in a repository; all have the same lock, so that one environment serves them."""
    flows.mkdir()
    (flows / "targets.yml").write_text(f"name: {NAME}\ntargets: {{lab: {{mode: development}}}}\n")
    (flows / "resources.yml").write_text(f"work_pools: [{{name: {NAME}}}]\n")
    for number in range(PROJECTS):
        folder = flows / f"project_{number}"
        folder.mkdir()
        shutil.copy(ROOT / "flows/northwind/requirements.txt", folder)
        (folder / "flow.py").write_text(FLOW.format(number=number))
        deployments = [DEPLOYMENT.format(name=name, minute=number % 60) for name in ("orders", "customers", "items")]
        (folder / "prefect.yaml").write_text(f"name: project_{number}\ndeployments:\n{''.join(deployments)}")
    for arguments in (["init", "--quiet"], ["add", "."], [*AUTHOR, "commit", "--quiet", "--message=bench"]):
        subprocess.run(["git", *arguments], cwd=flows, check=True)  # noqa: S603, S607


def seconds(folder: Path, *command: str, exit_codes: tuple[int, ...] = (0,)) -> float:
    """How long a command takes. Ends the program if it fails."""
    start = time.perf_counter()
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if process.returncode not in exit_codes:
        sys.exit(f"{' '.join(command)} failed: {process.stderr.strip()[-500:]}")
    return time.perf_counter() - start


def deploy(flows: Path, command: str, exit_codes: tuple[int, ...] = (0,)) -> float:
    """How long a command of deploy.py takes."""
    options = ["--release", "bench"] if command != "check" else []
    program = [sys.executable, str(ROOT / "deploy.py"), command]
    return seconds(flows, *program, "--flows", str(flows), "--target", "lab", *options, exit_codes=exit_codes)


def peer(flows: Path) -> float:
    """How long `prefect deploy --all` takes in all the projects."""
    command = [str(Path(sys.executable).with_name("prefect")), "--no-prompt", "deploy", "--all"]
    total = 0.0
    for number, folder in enumerate(sorted(flows.glob("project_*")), 1):
        total += seconds(folder, *command)
        if number % 20 == 0:
            print(f"prefect deploy --all: {number} of {PROJECTS} projects in {total:.0f} s", file=sys.stderr)
    return total


def remove() -> None:
    """Remove the benchmark's deployments, flows and work pool from the server."""
    with get_client(sync_client=True) as client:
        tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[NAME]))
        while deployments := client.read_deployments(deployment_filter=tagged, limit=200):
            for flow_id in {deployment.flow_id for deployment in deployments}:
                client.delete_flow(flow_id)  # and its deployments
        if NAME in [pool.name for pool in client.read_work_pools()]:
            client.delete_work_pool(NAME)


def main() -> None:
    """Measure, print the table, write the figures."""
    with tempfile.TemporaryDirectory() as scratch:
        flows = Path(scratch, "flows")
        write(flows)
        figures: dict[str, list[float]] = {}

        def note(command: str, duration: float) -> None:
            figures.setdefault(command, []).append(round(duration, 2))
            print(f"{command}: {duration:.1f} s", file=sys.stderr)

        try:
            note("plan, all to be created", deploy(flows, "plan", (2,)))
            note("apply, all to be created", deploy(flows, "apply"))
            for _ in range(ROUNDS):
                note("check", deploy(flows, "check"))
                note("plan, nothing to change", deploy(flows, "plan"))
                note("apply, nothing to change", deploy(flows, "apply"))
            note("prefect deploy --all, nothing to change", peer(flows))
        finally:
            remove()
    rows = {command: {"seconds": median(durations), "rounds": len(durations)} for command, durations in figures.items()}
    base = rows["apply, nothing to change"]["seconds"]
    print(f"\n## {PROJECTS} projects with three deployments each\n\n| command | seconds | times apply | rounds |")
    print("|---|---|---|---|")
    for command, row in rows.items():
        print(f"| {command} | {row['seconds']:.1f} | {row['seconds'] / base:.1f} | {row['rounds']} |")
    bars = {command: row["seconds"] <= MAX_SECONDS for command, row in rows.items() if row["rounds"] == ROUNDS}
    limit = f"at most {MAX_SECONDS:.0f} s"
    lines = [f"- {command}: {limit}: {'met' if met else 'NOT MET'}" for command, met in bars.items()]
    print("", *lines, sep="\n")
    results = ROOT / "bench/results"
    results.mkdir(exist_ok=True)
    result = {"figures": rows, "bars": bars, "machine": {"processors": os.cpu_count()}}
    (results / "deploy.json").write_text(json.dumps(result, indent=1))
    if not all(bars.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
