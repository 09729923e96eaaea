"""Runs to be lost or kept, and the commands that bring them back."""

import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, State
from waiting import until

ROOT = Path(__file__).parents[2]
TAG = "restoring"


@flow
def restored() -> None:
    """Stands for any flow: its runs are made by the API."""


def command(*arguments: str, settings: Path | None = None) -> subprocess.Popen[str]:
    """A command of the Makefile, started, with other settings if they are given; all that it says is one stream."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    words = ["make", *arguments] + ([f"ansible_options={options(settings)}"] if settings else [])
    return subprocess.Popen(words, cwd=ROOT, env=clean, text=True, start_new_session=True, **streams)


def options(settings: Path) -> str:
    """What the Makefile gives to Ansible, and these settings."""
    lab = os.environ["LAB_DIR"]
    return f"-i ansible/inventories/lab --vault-password-file {lab}/vault-password -e @{lab}/vault.yml -e @{settings}"


def make(*arguments: str, settings: Path | None = None) -> str:
    """What a command says that ends well."""
    process = command(*arguments, settings=settings)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


def failed(*arguments: str, settings: Path | None = None) -> str:
    """What a command says that does not end well."""
    process = command(*arguments, settings=settings)
    said, _ = process.communicate()
    assert process.returncode != 0, said
    return said


def refused(*arguments: str, settings: Path | None = None) -> str:
    """The one line that says why a command was refused."""
    [line] = [line for line in failed(*arguments, settings=settings).splitlines() if line.startswith("failed: ")]
    return line


def interrupt(process: subprocess.Popen[str]) -> None:
    """End a command and all that it has started, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def moment() -> str:
    """A full second between what was and what comes, as one types it."""
    second = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    until(lambda: datetime.now(UTC) > second + timedelta(seconds=1), within=5, what="the second is over")
    return f"{second:%Y-%m-%d %H:%M:%S}+00"


def add_runs(client: SyncPrefectClient, count: int, state: State) -> list[FlowRun]:
    """Runs in a state."""
    return [client.create_flow_run(restored, state=state, tags=[TAG]) for _ in range(count)]


def runs(client: SyncPrefectClient) -> dict[str, str]:
    """The states of all runs that these tests have made, by their ids."""
    ours = FlowRunFilter(tags=FlowRunFilterTags(all_=[TAG]))
    return {str(run.id): run.state.type.value for run in client.read_flow_runs(flow_run_filter=ours, limit=200)}
