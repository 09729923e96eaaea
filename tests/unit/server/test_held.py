"""A restore holds all queues, those that are deployed afterwards too."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asking import ask
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import VariableCreate, WorkPoolCreate
from shared import folder
from warm_server import Server, shared_server

ANSIBLE = Path(__file__).parents[3] / "ansible"
PLAY = f"""
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: {ANSIBLE}/tasks/open_queues.yml
    - ansible.builtin.copy:
        dest: "{{{{ playbook_dir }}}}/open.json"
        content: "{{{{ open_queues | to_json }}}}"
"""


@pytest.fixture
def small_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lists two things at a time."""
    with shared_server(
        tmp_path_factory, "small-pages", "--no-services", PREFECT_SERVER_API_DEFAULT_LIMIT="2"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with its database in a file: to pause a queue, it needs two connections."""
    database = f"sqlite+aiosqlite:///{folder(tmp_path_factory, 'held')}/prefect.db"
    settings = {"PREFECT_API_DATABASE_CONNECTION_URL": database}
    with shared_server(tmp_path_factory, "held", "--no-services", **settings) as server:
        yield server


def test_all_queues_are_found_however_many_the_server_lists_at_once(small_pages: Server, tmp_path: Path) -> None:
    async def make() -> list[str]:
        async with PrefectClient(small_pages.url, auth_string=small_pages.auth) as client:
            await client.create_work_pool(WorkPoolCreate(name="several", type="process"))
            queues = [await client.read_work_queue_by_name("default", "several")]
            for number in range(4):
                paused = number == 0
                name = f"q{number}"
                queues.append(await client.create_work_queue(name=name, is_paused=paused, work_pool_name="several"))
            return [str(queue.id) for queue in queues if not queue.is_paused]

    expected = asyncio.run(make())
    (tmp_path / "play.yml").write_text(PLAY)
    variables = {
        "open_queues_api": small_pages.url,
        "platform_api_environment": {"PREFECT_API_AUTH_STRING": small_pages.auth},
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local"]
    played = subprocess.run(
        [*command, "-e", json.dumps(variables), tmp_path / "play.yml"],
        env=os.environ | {"no_proxy": "*"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert sorted(json.loads((tmp_path / "open.json").read_text())) == sorted(expected)


def test_queues_that_are_deployed_while_a_restore_holds_the_work_are_held(
    apply: Callable, shop: str, flows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds = f"{shop.replace('-', '_')}_holds"
    monkeypatch.setattr("deployer.server.restore_hold.HOLD_VARIABLE", holds)
    (flows / "resources.yml").write_text(f"work_pools: [{{name: {shop}}}]\n")
    assert apply()[0] == 0
    ask("create_variable", VariableCreate(name=holds, value=["of-before"]))
    (flows / "resources.yml").write_text(f"work_pools: [{{name: {shop}, work_queues: [{{name: urgent}}]}}]\n")
    assert apply()[0] == 0
    queues = {queue.name: queue for queue in ask("read_work_queues", work_pool_name=shop)}
    assert {name: queue.is_paused for name, queue in queues.items()} == {"default": False, "urgent": True}
    assert ask("read_variable_by_name", holds).value == ["of-before", str(queues["urgent"].id)]


def test_a_pool_that_is_deployed_while_a_restore_holds_the_work_is_held(
    apply: Callable, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds = f"{shop.replace('-', '_')}_holds"
    monkeypatch.setattr("deployer.server.restore_hold.HOLD_VARIABLE", holds)
    ask("create_variable", VariableCreate(name=holds, value=[]))
    assert apply()[0] == 0
    [queue] = ask("read_work_queues", work_pool_name=shop)
    assert queue.is_paused
    assert ask("read_variable_by_name", holds).value == [str(queue.id)]
