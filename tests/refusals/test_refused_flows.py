"""Flows that are not right, and a password that is not, reach no server."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from refusal import ROOT, Answer, Environment, run

SCHEDULE, IMPOSSIBLE = "cron: 0 1 * * *", "cron: 0 25 * * *"


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """A copy of one project, and of what stands beside it."""
    shutil.copytree(ROOT / "flows/db_dump", tmp_path / "flows/db_dump")
    for file in ("resources.yml", "targets.yml"):
        shutil.copy(ROOT / "flows" / file, tmp_path / "flows")
    return tmp_path / "flows"


@pytest.fixture
def spoilt_flows(flows: Path) -> Path:
    """The same with a schedule that is none."""
    file = flows / "db_dump/prefect.yaml"
    text = file.read_text()
    assert SCHEDULE in text
    file.write_text(text.replace(SCHEDULE, IMPOSSIBLE, 1))
    return flows


@pytest.fixture(autouse=True)
def registered(client: SyncPrefectClient) -> Iterator[None]:
    """The server knows after a test what it knew before."""

    def known() -> list[tuple]:
        deployments = client.read_deployments()
        return sorted((each.name, each.id, each.path, len(each.schedules), each.work_pool_name) for each in deployments)

    before = known()
    assert before
    yield
    assert known() == before


def deploy(*arguments: str | Path, **settings: str) -> Answer:
    """Run deploy.py."""
    return run(sys.executable, "deploy.py", *arguments, **settings)


REFUSED = ["--target", "lab", "--release", "refused"]


@pytest.mark.parametrize("command", [["check"], ["apply", *REFUSED]], ids=lambda command: command[0])
def test_a_wrong_schedule(spoilt_flows: Path, command: list[str]) -> None:
    line = 1 + (spoilt_flows / "db_dump/prefect.yaml").read_text().split(IMPOSSIBLE)[0].count("\n")
    answer = deploy(*command, "--flows", spoilt_flows)
    answer.tells(f"flows/db_dump/prefect.yaml:{line}: deployments[0].schedules[0].cron: '0 25 * * *'", "out of range")


def test_samples_that_were_removed_are_missed_only_where_they_are_named(flows: Path) -> None:
    check = ["check", "--flows", flows, "--target", "production"]
    resources = yaml.safe_load((flows / "resources.yml").read_text())
    resources["secrets"] = ["source-postgres", "target-postgres"]
    (flows / "resources.yml").write_text(yaml.safe_dump(resources))
    answer = deploy(*check)
    assert answer.code == 1
    paused, mariadb = sorted(answer.output.splitlines(), key=lambda line: "mariadb" in line)
    assert "there is no deployment 'files-to-database/new-york-yellow'" in paused
    assert "source-mariadb" in mariadb

    targets = yaml.safe_load((flows / "targets.yml").read_text())
    targets["targets"]["production"]["paused"] = []
    (flows / "targets.yml").write_text(yaml.safe_dump(targets))
    resources["secrets"].append("source-mariadb")
    (flows / "resources.yml").write_text(yaml.safe_dump(resources))
    answer = deploy(*check)
    assert answer.code == 0, answer.output


def test_a_wrong_password_to_register(flows: Path) -> None:
    answer = deploy("apply", *REFUSED, "--flows", flows, PREFECT_API_AUTH_STRING="admin:wrong")
    answer.tells("/api refused the password", "correct PREFECT_API_AUTH_STRING")


def test_a_wrong_password_to_run(environment: Environment) -> None:
    environment.secrets["vault_prefect_server_password"] = "wrong"
    answer = environment.make("run", "FLOW=db_dump/shop-postgres")
    answer.tells("/api refused the password", "correct PREFECT_API_AUTH_STRING")
