"""The automations of flows/resources.yml, as the server acts on them: what is told, in words that are all there."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import UUID, uuid4

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.states import Completed, Crashed, Failed, Late, Pending, Running
from waiting import until
from warm_server import UI, Server
from webhook import Webhook

AUTOMATIONS = yaml.safe_load((Path(__file__).parents[3] / "flows/resources.yml").read_text())["automations"]
# Seconds in place of what an automation waits for: the least that Prefect takes
SOON = 10
BLOCK = "{{ prefect.blocks.slack-webhook.ops }}"


@pytest.fixture(scope="module")
def prefect_server(server_with_services: Server) -> Server:
    """Automations are a service."""
    return server_with_services


@pytest.fixture
def receiver() -> Iterator[ThreadingHTTPServer]:
    """Who is told."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        server.got = []
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def deployed(receiver: ThreadingHTTPServer, run, shop: str, flows: Path) -> None:
    """The automations, as they stand but for what they wait for."""
    text = json.dumps(AUTOMATIONS).replace(BLOCK, BLOCK.replace("ops", f"{shop}-ops"))
    automations = json.loads(text)
    for automation in automations:
        if automation["trigger"].get("posture") == "Proactive":
            automation["trigger"]["within"] = SOON
    resources = {"work_pools": [{"name": shop}], "notifications": [f"{shop}-ops"], "automations": automations}
    (flows / "resources.yml").write_text(yaml.safe_dump(resources))
    known = {"work_pools": [shop], "notifications": {f"{shop}-ops": f"json://127.0.0.1:{receiver.server_address[1]}"}}
    inventory = flows.parent / "inventory.json"
    inventory.write_text(json.dumps({"msg": {"platform_inventory": known}}))
    assert run("apply", "--release", "r1", "--inventory", str(inventory))[0] == 0
    yield
    resources = {"work_pools": [{"name": shop}], "notifications": [f"{shop}-ops"]}
    (flows / "resources.yml").write_text(yaml.safe_dump(resources))
    assert run("apply", "--release", "r1", "--inventory", str(inventory), "--prune")[0] == 0


@pytest.fixture
def client(settings) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def start(client: SyncPrefectClient, deployed: None, shop: str) -> Callable[..., UUID]:
    """Makes a run that goes through some states."""
    deployment = client.read_deployment_by_name(f"{shop}-goodbye/by-hand")

    def start(*states: State) -> UUID:
        run = client.create_flow_run_from_deployment(deployment.id)
        for state in states:
            client.set_flow_run_state(run.id, state, force=True)
        return run.id

    return start


def heard(client: SyncPrefectClient, event: str, resource: dict[str, str], seconds_ago: float) -> None:
    """The server hears now of what was then."""
    occurred = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    body = {"id": str(uuid4()), "occurred": occurred.isoformat(), "event": event, "resource": resource}
    client.request("POST", "/events", json=[body])


def messages(receiver: ThreadingHTTPServer) -> list[tuple[str, str]]:
    """Titles and bodies."""
    return [(message["title"], message["message"]) for _, message in receiver.got]


def pattern(template: str) -> str:
    """What a template may become: no place in it is empty, or None."""
    parts = re.split(r"\{\{.*?\}\}", template.strip())
    return r"(?!None\b)(\S.*?)".join(map(re.escape, parts))


def test_all_that_is_sent_is_whole(client: SyncPrefectClient, start, receiver: ThreadingHTTPServer) -> None:
    def knows_the_automations() -> bool:
        start(Failed())
        return bool(receiver.got)

    until(knows_the_automations, within=60, what="the server has read the automations")
    named = {
        "lost": start(Running(), Failed(name="BadData")),
        "late": start(Late(scheduled_time=datetime.now(UTC))),
        "back": start(Running(), Crashed(), Completed()),
        "back by a name": start(Running(), Crashed(), Completed(name="Skipped")),
        "over": start(Running(), Failed(name="TimedOut", message="It took an hour.")),
        "gone": start(Running(), Crashed(name="Evicted", message="Its host was taken.")),
        "fine": start(Running(), Completed(name="Nothing to do")),
        "twice": start(Running(), Crashed(), Running(), Crashed()),
        "taken": start(Pending()),
        "silent": start(Running()),
    }
    runs = {name: client.read_flow_run(run) for name, run in named.items()}
    worker = {"prefect.resource.id": "prefect.worker.process.here", "prefect.resource.name": "here"}
    run = {"prefect.resource.id": f"prefect.flow-run.{runs['silent'].id}"}
    heard(client, "platform.worker.heartbeat", worker, seconds_ago=3 * SOON)
    heard(client, "prefect.flow-run.heartbeat", run, seconds_ago=3 * SOON)

    def of(name: str) -> set[str]:
        """What was told of a run, without its name."""
        return {
            title.partition(f"{runs[name].name} ")[2] for title, _ in messages(receiver) if runs[name].name in title
        }

    def all_is_told() -> bool:
        heard(client, "tick", {"prefect.resource.id": "tick"}, seconds_ago=0)  # the server's clock is the last event
        titles = [title for title, _ in messages(receiver)]
        return "is Crashed" in of("taken") & of("silent") and "The worker here is silent" in titles

    until(all_is_told, within=120, what="what is to be told is told")
    assert {name: of(name) for name in named} == {
        "lost": {"is BadData"},
        "late": {"is late"},
        "back": {"is Crashed", "has Completed after all"},
        "back by a name": {"is Crashed", "has Completed after all"},
        "over": {"is TimedOut"},
        "gone": {"is Evicted"},
        "fine": set(),
        "twice": {"is Crashed"},
        "taken": {"is Crashed"},
        "silent": {"is Crashed"},
    }
    for action in (action for automation in AUTOMATIONS for action in automation["actions"] if "subject" in action):
        whole = re.compile(pattern(action["subject"]) + "\n" + pattern(action["body"]), re.DOTALL)
        assert any(whole.fullmatch(f"{title}\n{body.strip()}") for title, body in messages(receiver)), action["subject"]
    for title, body in messages(receiver):
        assert "None" not in title + body
        run_told = next((run for run in runs.values() if run.name in title), None)
        assert run_told is None or f"{UI}/runs/flow-run/{run_told.id}" in body
