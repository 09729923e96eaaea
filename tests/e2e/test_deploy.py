"""Deploying as its users do it: see the plan, apply it, go back; and nobody else's things are touched."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from lab import ROOT, make, notifications
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from testinfra.host import Host
from waiting import until

PROJECT = """name: {name}
deployments:
  - name: nightly
    entrypoint: flow.py:wait
    work_pool: {{name: default}}
    parameters: {{seconds: 1}}
    schedules:
      - {{slug: night, cron: 0 2 * * *, timezone: Europe/Paris}}
"""
FLOW = """from threading import Event

from prefect import flow


@flow(name="{flow}")
def wait(seconds: int):
    Event().wait(seconds)
"""


def write_project(flows: Path, name: str) -> Path:
    """A project whose flow takes as long as it is told to; its lock is that of another, so that nothing is built."""
    folder = flows / name
    folder.mkdir()
    shutil.copy(ROOT / "flows/northwind/requirements.txt", folder)
    (folder / "prefect.yaml").write_text(PROJECT.format(name=name))
    (folder / "flow.py").write_text(FLOW.format(flow=name.replace("_", "-")))
    return folder


@pytest.fixture
def release(client: SyncPrefectClient) -> Callable[[str], str]:
    """The release that a deployment runs."""
    return lambda deployment: client.read_deployment_by_name(deployment).version


class Deploy:
    """deploy.py on a copy of the flows, for the release that runs."""

    def __init__(self, flows: Path, release: str) -> None:
        self.flows = flows
        self._options = ["--flows", str(flows), "--target", "lab", "--release", release]

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [sys.executable, "deploy.py", command, *self._options, *options], cwd=ROOT, capture_output=True, text=True
        )

    def plan(self, *options: str) -> tuple[int, dict[str, tuple[str, dict]]]:
        """The exit code, and what would be done by kind and name, with the fields that change."""
        done = self.run("plan", "--json", *options)
        assert done.stderr == ""
        changes = json.loads(done.stdout)["changes"]
        return done.returncode, {
            f"{each['kind']} {each['name']}": (
                each["action"],
                {one["field"]: (one.get("old"), one.get("new")) for one in each["differences"]},
            )
            for each in changes
        }


@pytest.fixture
def deploy(tmp_path: Path, release: Callable[[str], str]) -> Deploy:
    """The flows that are deployed, to be changed."""
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", "target", "logs")
    return Deploy(shutil.copytree(ROOT / "flows", tmp_path / "flows", ignore=ignored), release("northwind/daily"))


def test_what_is_deployed_is_what_is_in_the_files() -> None:
    assert make("check").endswith("deployments are fit to be registered\n")
    assert ": 0 to create, 0 to change, 0 to delete, " in make("plan")
    assert ": 0 to create, 0 to change, 0 to delete, " in Path(os.environ["LAB_DIR"], "plan.md").read_text()


def test_plan_apply_edit_and_prune(deploy: Deploy, client: SyncPrefectClient) -> None:
    assert deploy.plan() == (0, {}), "what is deployed is what is in the files"

    folder = write_project(deploy.flows, "plan_test")
    assert deploy.plan() == (2, {"deployment plan-test/nightly": ("create", {})})
    assert deploy.run("apply").returncode == 0
    assert deploy.plan() == (0, {})

    file = folder / "prefect.yaml"
    file.write_text(file.read_text().replace("0 2 * * *", "0 3 * * *"))
    changed = {"schedules.night.cron": ("0 2 * * *", "0 3 * * *")}
    assert deploy.plan() == (2, {"deployment plan-test/nightly": ("update", changed)})
    shown = deploy.run("plan").stdout.splitlines()
    assert shown[:2] == ["~ deployment plan-test/nightly", '    schedules.night.cron: "0 2 * * *" -> "0 3 * * *"']
    assert deploy.run("apply").returncode == 0
    assert deploy.plan() == (0, {})

    by_hand = client.create_deployment(client.create_flow_from_name("by-hand"), "by-hand")
    shutil.rmtree(folder)
    assert deploy.plan() == (0, {"deployment plan-test/nightly": ("keep", {})}), "it says so, and leaves it"
    assert deploy.plan("--prune") == (2, {"deployment plan-test/nightly": ("delete", {})})
    assert deploy.run("apply", "--prune").returncode == 0
    assert deploy.plan("--prune") == (0, {})
    assert client.read_deployment(by_hand).name == "by-hand"
    client.delete_deployment(by_hand)


HOLD = """
import asyncio, sys
from deployer.server import connection
from deployer.server.deploy_lock import deploy_lock

async def hold():
    async with connection.connect() as client, deploy_lock(client):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""


def test_one_that_was_killed_does_not_keep_others_out(deploy: Deploy) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        waiting = subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, **pipes)
        holder.send_signal(signal.SIGKILL)
    # it gets its turn when the lease of the one that is gone runs out
    assert waiting.stdout.readline() == "held\n"
    waiting.communicate("")
    assert waiting.returncode == 0


class Releases(NamedTuple):
    """Two that are kept, and the one that has more projects."""

    before: str
    after: str


@pytest.fixture(scope="module")
def releases(client: SyncPrefectClient, clone: Path) -> Iterator[Releases]:
    """A second release, of a clone with new projects."""

    def release() -> str:
        return client.read_deployment_by_name("northwind/daily").version

    before = release()
    try:
        write_project(clone / "flows", "rollback_test").joinpath("apt.txt").write_text("jq  # for the names of files\n")
        make("new-project", "NAME=made_dump", "TEMPLATE=db_dump", clone=clone)
        make("new-project", "NAME=made_pipeline", "TEMPLATE=pipeline", clone=clone)
        make("new-project", "NAME=made_plain", "TEMPLATE=plain", clone=clone)
        make("deploy-flows", clone=clone)
        yield Releases(before, release())
    finally:
        make("deploy-flows", "PRUNE=1")


def test_the_packages_that_a_project_wants_are_on_the_host(releases: Releases, host: Host) -> None:
    assert host.check_output("runuser -u prefect-worker-default -- jq --null-input 1") == "1"


@pytest.mark.parametrize("name", ["made_dump", "made_pipeline", "made_plain"])
def test_a_new_project_runs_at_once(
    releases: Releases, clone: Path, name: str, start: Callable[..., FlowRun], finish: Callable[[FlowRun], FlowRun]
) -> None:
    [deployment] = yaml.safe_load((clone / "flows" / name / "prefect.yaml").read_text())["deployments"]
    run = finish(start(f"{name.replace('_', '-')}/{deployment['name']}"))
    assert run.state.is_completed(), run.state.message


def test_rollback_goes_to_any_kept_release_and_leaves_runs_alone(
    releases: Releases,
    release: Callable[[str], str],
    start: Callable[..., FlowRun],
    finish: Callable[[FlowRun], FlowRun],
    client: SyncPrefectClient,
) -> None:
    before, after = releases
    assert after != before
    slow = "rollback-test/nightly"
    assert release(slow) == after

    run = start(slow, seconds=45)
    until(lambda: client.read_flow_run(run.id).state.is_running(), within=60, what=f"{run.name} runs")
    make("rollback")
    assert release("northwind/daily") == before
    assert re.search(rf"^ +release +{before}; deployed before it: {after}", make("status"), re.MULTILINE)
    assert client.read_flow_run(run.id).state.is_running()

    make("rollback", f"RELEASE={after}")
    assert release("northwind/daily") == after
    with pytest.raises(subprocess.CalledProcessError) as refused:
        make("rollback", "RELEASE=nothing")
    said = refused.value.stdout + refused.value.stderr
    [line] = [line for line in said.splitlines() if "there is no release nothing" in line]
    assert re.search(rf"It keeps, the last deployed first: {after}, {before}", line)
    assert release("northwind/daily") == after
    assert finish(run).state.is_completed(), "it ran on through all of that"


def test_a_run_that_fails_is_told(start: Callable[..., FlowRun], finish: Callable[[FlowRun], FlowRun]) -> None:
    before = len(notifications())
    run = finish(start("db_dump/shop-postgres", execute_query="SELECT * FROM nothing"))
    assert run.state.is_failed()
    [told] = until(
        lambda: [sent for sent in notifications()[before:] if run.name in sent["title"]],
        within=60,
        what="the notification arrives",
    )
    assert told["title"] == f"db_dump: {run.name} is Failed"
    assert 'relation "nothing" does not exist' in told["message"]
