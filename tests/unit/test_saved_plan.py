"""A saved plan is applied as it was reviewed, or refused in one line."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

import deploy
from deployer.model.manifest import Manifest, Resource
from deployer.server.kinds.kind import Kind, ServerResource

URL = "https://prefect.example.org/api"
OWNER = "shop/lab"

Deploy = Callable[..., tuple[int, list[str], list[str]]]


class Variables(Kind):
    """Variables of a server that is a dictionary."""

    title = "variable"
    server: ClassVar[dict[str, dict[str, Any]]] = {}

    async def read(self, names: set[str]) -> dict[str, ServerResource]:
        return {
            name: ServerResource(name, fields, self._owner in fields["tags"]) for name, fields in self.server.items()
        }

    async def write(self, name: str, fields: dict[str, Any], current: ServerResource | None) -> None:
        self.server[name] = fields

    async def delete(self, current: ServerResource) -> None:
        del self.server[current.id]


def variable(value: str) -> dict[str, Any]:
    return {"value": value, "tags": [OWNER]}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The variables on the server, one of which is no longer declared."""

    @asynccontextmanager
    async def connected(*_: object) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(deploy, "connect", connected)
    monkeypatch.setattr(deploy, "deploy_lock", connected)
    monkeypatch.setattr("deployer.server.plan.KINDS", {"variable": Variables})
    monkeypatch.setattr("deployer.server.apply.PHASES", ((Variables,),))
    variables = {"country": variable("DE"), "gone": variable("x")}
    monkeypatch.setattr(Variables, "server", variables)
    return variables


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    """A release that changes a variable and adds another."""
    resources = [Resource("variable", name, variable(value)) for name, value in (("country", "FR"), ("city", "Lyon"))]
    Manifest("r1", OWNER, resources).write(tmp_path / "manifest.json")
    return str(tmp_path / "manifest.json")


@pytest.fixture
def run(server: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> Deploy:
    """Runs deploy.py; gives the exit code, and the lines of its output and its errors."""

    def call(*arguments: str, url: str = URL) -> tuple[int, list[str], list[str]]:
        with temporary_settings({PREFECT_API_URL: url}):
            code = deploy.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return call


@pytest.fixture
def saved(run: Deploy, manifest: str, tmp_path: Path) -> Callable[..., str]:
    """Makes a plan of the release, and saves it."""

    def save(*options: str) -> str:
        file = str(tmp_path / "plan.json")
        assert run("plan", manifest, "--out", file, *options)[0] == 2
        return file

    return save


def test_a_saved_plan_is_applied(run: Deploy, saved, server: dict[str, dict[str, Any]]) -> None:
    code, lines, errors = run("apply", saved())
    assert (code, errors) == (0, [])
    assert sorted(lines[:2]) == ["changed   variable country", "created   variable city"]
    assert server == {"country": variable("FR"), "city": variable("Lyon"), "gone": variable("x")}


def test_a_saved_plan_keeps_its_own_option_to_prune(run: Deploy, saved, server: dict[str, dict[str, Any]]) -> None:
    assert run("apply", saved("--prune"))[0] == 0
    assert "gone" not in server


def changed(server: dict[str, dict[str, Any]]) -> None:
    server["country"] = variable("IT")


def created(server: dict[str, dict[str, Any]]) -> None:
    server["city"] = variable("Paris")


def applied(server: dict[str, dict[str, Any]]) -> None:
    server["country"] = variable("FR")


@pytest.mark.parametrize(
    ("change", "name"),
    [(changed, "variable country"), (created, "variable city"), (applied, "variable country")],
)
def test_a_plan_is_refused_when_the_server_has_moved_on(
    run: Deploy, saved, server: dict[str, dict[str, Any]], change: Callable, name: str
) -> None:
    file = saved()
    change(server)
    before = dict(server)
    code, lines, [error] = run("apply", file)
    assert (code, lines, server) == (1, [], before)
    assert error.startswith("the server, or a value of the inventory, has changed since this plan was made (20")
    assert error.endswith(f": {name}; nothing was changed, make a new plan and review it")


def test_a_plan_is_refused_when_it_would_prune_more(run: Deploy, saved, server: dict[str, dict[str, Any]]) -> None:
    file = saved("--prune")
    server |= {f"old{number}": variable("x") for number in range(4)}
    code, _, [error] = run("apply", file)
    assert code == 1
    assert ": variable old0, variable old1, variable old2 and 1 more; nothing was changed" in error
    assert "gone" in server


def test_what_others_do_beside_the_plan_does_not_matter(run: Deploy, saved, server: dict[str, dict[str, Any]]) -> None:
    file = saved()
    server["theirs"] = {"value": "x", "tags": []}
    assert run("apply", file)[0] == 0


def test_a_plan_is_refused_with_other_options(run: Deploy, saved, tmp_path: Path) -> None:
    file = saved()
    other = "https://other.example.org/api"
    assert run("apply", file, url=other)[2] == [f"the plan is for {URL}, not for {other}: make one for this server"]
    assert run("apply", file, "--prune")[2] == [
        "the plan was made without --prune: leave it out, or make a plan with it"
    ]
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"msg": {"platform_inventory": {}}}))
    assert run("apply", file, "--inventory", str(inventory))[2] == [
        "the plan was made without --inventory: leave it out"
    ]


def test_a_saved_plan_has_no_value_of_a_block(run: Deploy, server, tmp_path: Path) -> None:
    Manifest("r1", OWNER, [], {"secret": ["key"]}).write(tmp_path / "manifest.json")
    inventory, plan = tmp_path / "inventory.json", tmp_path / "plan.json"
    inventory.write_text(json.dumps({"msg": {"platform_inventory": {"secrets": {"key": "correct-horse"}}}}))
    run("plan", str(tmp_path / "manifest.json"), "--inventory", str(inventory), "--out", str(plan))
    assert "correct-horse" not in plan.read_text()
    assert run("apply", str(plan))[2] == ["the plan was made with --inventory: give it to `apply` too"]


def test_a_plan_to_save_names_its_release(run: Deploy, tmp_path: Path) -> None:
    code, _, [error] = run("plan", "--target", "lab", "--out", str(tmp_path / "plan.json"))
    assert code == 1
    assert error.startswith("say which release, which the workers must have: its MANIFEST, or --release")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"plan_version": 0}, "is a plan of another version of the platform: make a new plan"),
        ({"unknown": 1}, "is not a whole plan ("),
        ({"manifest": {}}, "is not a whole plan ('resources'): make a new plan"),
    ],
)
def test_a_plan_that_cannot_be_read_is_one_line(run: Deploy, saved, change: dict, reason: str) -> None:
    file = Path(saved())
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    code, _, [error] = run("apply", str(file))
    assert code == 1
    assert error.startswith(f"{file} {reason}")
