"""What a run is, seen from the host: the project's own Python, in the release, as the pool's user."""

import re
from collections.abc import Callable
from typing import NamedTuple

from prefect.client.schemas.objects import FlowRun
from testinfra.host import Host
from waiting import until

RELEASES = "/opt/prefect/flows/releases/"


class Process(NamedTuple):
    """A process on the host."""

    user: str
    folder: str
    command: str


def process_of(host: Host, run: FlowRun) -> Process | None:
    """The process that has the run's id in its environment, once it is in the folder of the code."""
    find = "grep --files-with-matches --null-data --no-messages %s /proc/[0-9]*/environ"
    found = host.run(find, f"^PREFECT__FLOW_RUN_ID={run.id}$").stdout
    if not found:
        return None
    pid = found.split("/")[2]
    folder = host.run("readlink /proc/%s/cwd", pid).stdout.strip()
    user, _, command = host.run("ps --format user:32=,args= --pid %s", pid).stdout.strip().partition(" ")
    return Process(user, folder, command.strip()) if folder.startswith(RELEASES) and command else None


def test_a_run_uses_the_python_of_its_project_and_the_code_of_the_release(
    host: Host, start: Callable[[str], FlowRun], finish: Callable[[FlowRun], FlowRun]
) -> None:
    run = start("db_dump/shop-mariadb")
    process = until(
        lambda: process_of(host, run), within=60, what=f"{run.name} has a process in the folder of its code"
    )
    assert process.user == "prefect-worker-default"
    assert re.fullmatch(RELEASES + "[^/]+/db_dump", process.folder)
    python, _, options = process.command.partition(" ")
    assert re.fullmatch(r"/opt/prefect/flows/envs/db_dump-[0-9a-f]{12}/bin/python", python)
    assert options == f"-X release={process.folder} -m prefect.engine"
    assert finish(run).state.is_completed()
