"""The rules between a `prefect.yaml`, its lock and its flows, over whole folders of projects."""

import json
from pathlib import Path

import pytest

import deploy
from deployer.check import check
from deployer.errors import DeployError
from deployer.inventory import Inventory
from deployer.project import Project, system_packages

PARAMETERS = """
deployments:
  - name: unknown
    entrypoint: flow.py:hello
    parameters: {who: you, tines: 2}
  - name: wrong
    entrypoint: flow.py:hello
    parameters: {who: you, times: often, mood: angry, day: tomorrow}
  - name: lenient
    entrypoint: flow.py:hello
    parameters: {times: "2"}
    enforce_parameter_schema: false
  - name: by-hand
    entrypoint: flow.py:hello
  - name: scheduled
    entrypoint: flow.py:hello
    parameters: {times: 3}
    schedules:
      - {cron: 0 2 * * *}
      - {cron: 0 3 * * *, parameters: {who: you, times: never}}
      - {cron: 0 4 * * *, parameters: {who: you, times: 4, day: 2026-01-31}}
  - name: referring
    entrypoint: flow.py:hello
    parameters: {who: {__prefect_kind: workspace_variable, variable_name: name}}
  - name: kind
    entrypoint: flow.py:hello
    parameters: {who: {__prefect_kind: [1]}}
  - name: missing
    entrypoint: flow.py:nobody
  - name: plain
    entrypoint: flow.py:date
  - name: misnamed
    entrypoint: flow.py:goodbye
    flow_name: hello
  - name: misnamed
    entrypoint: flow.py:goodbye
"""


@pytest.fixture
def problems(flows: Path, python_of):
    """What the check says of the projects a test has written."""
    return lambda target=None, inventory=None: [
        str(problem) for problem in check(flows, target, inventory, python_of).problems
    ]


def test_parameters_and_entrypoints_are_held_against_the_flows_own(write_project, problems) -> None:
    write_project(prefect_yaml=PARAMETERS)
    said = "\n".join(problems())
    for start, reason in (
        (":5: deployments[0].parameters.tines: ", "did you mean 'times'?"),
        (":8: deployments[1].parameters.times: ", "'often' is not of type 'integer'"),
        (":8: deployments[1].parameters.mood: ", "'angry' is not one of ['glad', 'sad']"),
        (":8: deployments[1].parameters.day: ", "'tomorrow'"),
        (":19: deployments[4].schedules[0].parameters: ", "needs who"),
        (":20: deployments[4].schedules[1].parameters.times: ", "'never' is not of type 'integer'"),
        (":27: deployments[6].parameters: ", "Prefect cannot read what __prefect_kind stands in"),
        (":29: deployments[7].entrypoint: 'flow.py:nobody' cannot be imported: ", "nobody"),
        (":31: deployments[8].entrypoint: 'flow.py:date' cannot be imported: ", "not a flow"),
        (":34: deployments[9].flow_name: ", "'ciao'"),
        (":35: deployments[10].name: 'ciao/misnamed' is also declared in flows/shop/prefect.yaml:32", "rename"),
    ):
        [line] = [line for line in said.splitlines() if line.startswith(f"flows/shop/prefect.yaml{start}")]
        assert reason in line
    assert len(said.splitlines()) == 11


def test_the_packages_of_a_project_are_names_of_debian_packages(write_project, problems) -> None:
    folder = write_project()
    (folder / "apt.txt").write_text("# for the flow\njq  # reads JSON\n\nlibxml2\n")
    assert problems() == []
    assert system_packages(Project(folder)) == (["jq", "libxml2"], [])
    (folder / "apt.txt").write_text("jq\n--assume-yes jq\n")
    assert problems() == [
        "flows/shop/apt.txt:2: '--assume-yes jq' does not name a Debian package: write one name a line"
    ]


def test_a_flow_that_cannot_be_imported_is_told_with_its_line(write_project, problems) -> None:
    folder = write_project(flow_py="import helper\n")
    (folder / "helper.py").write_text("\nimport not_installed\n")
    assert problems() == [
        "flows/shop/prefect.yaml:5: deployments[0].entrypoint: 'flow.py:goodbye' cannot be imported: "
        "ModuleNotFoundError: No module named 'not_installed' (helper.py line 2)"
    ]


def test_an_import_that_does_not_end_is_told(write_project, problems, monkeypatch) -> None:
    monkeypatch.setattr("deployer.inspection.TIMEOUT", 1)
    write_project(flow_py="import signal\n\nsignal.pause()\n")
    [line] = problems()
    assert "cannot be imported: importing takes more than 1 s, or ends Python: do the work inside the flow" in line


def test_a_file_that_cannot_be_read_is_told(write_project, problems, flows: Path) -> None:
    write_project()
    (flows / "resources.yml").unlink()
    (flows / "resources.yml").mkdir()
    assert any(line.startswith("flows/resources.yml:1: cannot be read: [Errno 21]") for line in problems())


def test_an_import_gets_no_password_and_may_print_and_exit(write_project, problems, monkeypatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:correct-horse")
    write_project(flow_py="import os, sys\nprint('{}')\nsys.exit(str(dict(os.environ)))\n")
    [line] = problems()
    assert "cannot be imported: SystemExit" in line
    assert "correct-horse" not in line


def test_flows_import_their_own_modules_and_never_ours(write_project, problems, flow_source: str) -> None:
    folder = write_project(flow_py=f"from environment import ours\n{flow_source}")
    [line] = problems()
    assert "No module named 'environment' (flow.py line 1)" in line
    (folder / "environment.py").write_text("ours = True")
    assert problems() == []


def test_two_projects_cannot_register_the_same_deployment(write_project, problems) -> None:
    write_project("bar")
    write_project("shop")
    assert problems() == [
        "flows/shop/prefect.yaml:4: deployments[0].name: "
        "'ciao/daily' is also declared in flows/bar/prefect.yaml:4: rename one of them"
    ]


def test_without_an_inventory_pools_are_left_to_who_has_one(write_project, problems, flows: Path) -> None:
    write_project()
    (flows / "resources.yml").write_text("work_pools: [{name: heavy}]")
    assert problems() == []


def test_only_pools_that_are_declared_or_served_may_be_used(write_project, problems, flows: Path) -> None:
    write_project()
    (flows / "resources.yml").unlink()
    where = "flows/shop/prefect.yaml:4: deployments[0].work_pool: there is no pool 'default'"
    assert problems(inventory=Inventory(["heavy"])) == [f"{where}: the pools are heavy"]
    assert problems(inventory=Inventory()) == [f"{where}: add it to work_pools in resources.yml"]
    assert problems(inventory=Inventory(["default"])) == []


def test_only_pools_that_workers_serve_may_be_used(write_project, problems) -> None:
    write_project()
    assert problems(inventory=Inventory(["default", "heavy"])) == []
    assert problems(inventory=Inventory(["heavy"])) == [
        "flows/shop/prefect.yaml:4: deployments[0].work_pool: "
        "no worker of this environment serves the pool 'default': served are heavy"
    ]


def test_only_queues_that_are_declared_may_be_used(write_project, problems, flows: Path) -> None:
    one = "deployments: [{name: a, entrypoint: 'flow.py:goodbye', work_pool: {work_queue_name: %s}}]"
    write_project(prefect_yaml=one % "night")
    assert problems() == [
        "flows/shop/prefect.yaml:1: deployments[0].work_pool.work_queue_name: "
        "the pool 'default' has no queue 'night': add it to the pool's work_queues in resources.yml"
    ]
    (flows / "resources.yml").write_text("work_pools: [{name: default, work_queues: [{name: night}]}]")
    assert problems() == []
    write_project(prefect_yaml=one % "default")
    (flows / "resources.yml").write_text("work_pools: [{name: default}]")
    assert problems() == []


SECRETS = """
deployments:
  - name: daily
    entrypoint: flow.py:dump
    parameters: {login: /shop/reader}
    work_pool:
      job_variables:
        env: {KEY: "{{ prefect.blocks.secret.key }}", COUNTRY: "{{ prefect.variables.country }}"}
    schedules:
      - {cron: 0 1 * * *, parameters: {login: other}}
"""
DUMP = """
from typing import Annotated

from prefect import flow
from pydantic import Field


@flow
def dump(login: Annotated[str, Field(json_schema_extra={"format": "secret-block"})] = "reader"):
    pass
"""


def test_secrets_and_variables_are_declared(write_project, problems, flows: Path) -> None:
    write_project(prefect_yaml=SECRETS, flow_py=DUMP)
    assert problems() == [
        "flows/shop/prefect.yaml:5: deployments[0].parameters.login: "
        "the secret 'shop-reader' is not declared: add it to secrets in resources.yml",
        "flows/shop/prefect.yaml:8: deployments[0].work_pool.job_variables.env.COUNTRY: "
        "the variable 'country' is not declared: add it to variables in resources.yml",
        "flows/shop/prefect.yaml:8: deployments[0].work_pool.job_variables.env.KEY: "
        "the secret 'key' is not declared: add it to secrets in resources.yml",
        "flows/shop/prefect.yaml:10: deployments[0].schedules[0].parameters.login: "
        "the secret 'other' is not declared: add it to secrets in resources.yml",
    ]
    text = "secrets: [shop-reader, key, other]\nvariables: [{name: country, value: FR}]\nwork_pools: [{name: default}]"
    (flows / "resources.yml").write_text(text)
    assert problems() == []
    write_project(prefect_yaml=SECRETS.replace("    parameters: {login: /shop/reader}\n", ""), flow_py=DUMP)
    [line] = problems()
    assert "parameters.login: the secret 'reader' is not declared" in line, "a default names a secret too"


TEMPLATES = {
    "{{ $REGION }}": "nothing fills in {{ $REGION }}",
    "a-{{ build-image.tag }}": "nothing fills in {{ build-image.tag }}",
    "{{ prefect.blocks.string.x }}": "nothing fills in {{ prefect.blocks.string.x }}",
    "{{ ctx.flow_run.name }}": "nothing fills in {{ ctx.flow_run.name }}",
    "{{ prefect.blocks.secret.key.part }}": "the secret 'key' is not declared",
}


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize(("value", "said"), TEMPLATES.items())
def test_what_no_worker_fills_in_is_refused(write_project, problems, value: str, said: str) -> None:
    text = "deployments:\n- {name: a, entrypoint: 'flow.py:hello', work_pool: {job_variables: {%s}}}"
    write_project(prefect_yaml=text % f"env: {{A: '{value}'}}")
    [line] = problems()
    assert line.startswith(f"flows/shop/prefect.yaml:2: deployments[0].work_pool.job_variables.env.A: {said}")
    write_project(prefect_yaml=text % "name: 'run {{ ctx.flow_run.name }}'")
    assert problems() == []


INNER = """
deployments:
  - name: daily
    entrypoint: flow.py:dump
    parameters:
      maybe: one
      several: [two]
      by_name: {a: three}
      login: {user: root, password: four}
"""
DUMP_INNER = """
from typing import Annotated

from prefect import flow
from pydantic import BaseModel, Field

SecretBlock = Annotated[str, Field(json_schema_extra={"format": "secret-block"})]


class Login(BaseModel):
    user: str
    password: SecretBlock


@flow
def dump(
    maybe: SecretBlock | None,
    several: list[SecretBlock],
    by_name: dict[str, SecretBlock],
    login: Login,
    also: list[SecretBlock] = ["five"],
):
    pass
"""


def test_secrets_inside_of_a_parameter_are_declared_too(write_project, problems, flows: Path) -> None:
    write_project(prefect_yaml=INNER, flow_py=DUMP_INNER)
    start, end = "flows/shop/prefect.yaml:", "is not declared: add it to secrets in resources.yml"
    assert problems() == [
        f"{start}5: deployments[0].parameters.also[0]: the secret 'five' {end}",
        f"{start}6: deployments[0].parameters.maybe: the secret 'one' {end}",
        f"{start}7: deployments[0].parameters.several[0]: the secret 'two' {end}",
        f"{start}8: deployments[0].parameters.by_name.a: the secret 'three' {end}",
        f"{start}9: deployments[0].parameters.login.password: the secret 'four' {end}",
    ]
    names = "secrets: [one, two, three, four, five]\n"
    (flows / "resources.yml").write_text(f"work_pools: [{{name: default}}]\n{names}")
    assert problems() == []


def test_secrets_that_a_target_names_are_declared_too(write_project, problems, flows: Path) -> None:
    write_project(prefect_yaml="deployments: [{name: a, entrypoint: 'flow.py:dump'}]", flow_py=DUMP)
    parameters = "{dump: {login: other}}"
    (flows / "targets.yml").write_text(f"name: shop\ntargets: {{lab: {{mode: development, parameters: {parameters}}}}}")
    [line] = problems("lab")
    assert line.startswith("flows/targets.yml:2: targets.lab.parameters.dump.login: the secret 'other' is not declared")


LOCKS = {
    "none": (None, ":1: missing: write it with `uv pip compile"),
    "not pinned": ("prefect>=3\n", ":1: 'prefect>=3' is not pinned"),
    "no hash": ("# a lock\nprefect==3.9.1\n", ":2: 'prefect==3.9.1' has no hash"),
    "an index": ("--index-url https://example.org\n", ":1: --index-url does not belong in a lock"),
    "no prefect": ("six==1.17.0 \\\n    --hash=sha256:00\n", ":1: prefect is missing"),
}


@pytest.mark.parametrize(("lock", "said"), LOCKS.values(), ids=LOCKS)
def test_a_lock_is_there_pinned_and_hashed(write_project, problems, lock: str | None, said: str) -> None:
    write_project(requirements_txt=lock)
    [line] = problems()
    assert line.startswith(f"flows/shop/requirements.txt{said}")


def test_a_lock_holds_what_is_asked_for(write_project, problems) -> None:
    folder = write_project()
    (folder / "requirements.in").write_text('-c ../x.txt\n# a\nPrefect[aws]>=3  # b\nsix; python_version < "3"\n')
    assert problems() == []
    (folder / "requirements.in").write_text("prefect\nZope.Interface>=5\n")
    [line] = problems()
    assert line.startswith("flows/shop/requirements.txt:1: zope-interface of requirements.in is missing: write it with")


def test_a_lock_that_is_not_text_is_refused(write_project, problems) -> None:
    (write_project() / "requirements.txt").write_bytes(b"prefect==3.9.1 # caf\xe9")
    [line] = problems()
    assert line.startswith("flows/shop/requirements.txt:1: cannot be read ('utf-8' codec")
    assert ": write it with `uv pip compile" in line


def test_folders_that_are_no_project_are_refused(write_project, problems, flows: Path) -> None:
    for name in ("server", "worker", "flows", "Shop", "1st"):
        write_project(name)
    write_project("empty", prefect_yaml=None)
    for name in ("_drafts", ".cache", "__pycache__"):
        (flows / name).mkdir()
    lines = problems()
    assert [line.split(":")[0].split("/")[1] for line in lines] == ["1st", "Shop", "empty", "flows", "server", "worker"]
    assert "rename '1st'" in lines[0]
    assert "missing" in lines[2]
    assert "the platform's own environments" in lines[4]


def test_no_projects_is_an_error(flows: Path, problems) -> None:
    with pytest.raises(DeployError, match="holds no project"):
        problems()


def test_check_says_everything_at_once_and_fails(write_project, flows: Path, python_of, capsys) -> None:
    write_project("bar", requirements_txt=None)
    write_project("shop", prefect_yaml="deployments: []")
    assert deploy.main(["check", "--flows", str(flows)], python_of) == 1
    said = capsys.readouterr().err
    assert "flows/bar/requirements.txt:1: missing" in said
    assert "flows/shop/prefect.yaml:1: deployments: must be" in said

    assert deploy.main(["check", "--flows", str(flows), "--json"], python_of) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(each["file"], each["line"], each["field"]) for each in told["problems"]] == [
        ("flows/bar/requirements.txt", 1, ""),
        ("flows/shop/prefect.yaml", 1, "deployments"),
    ]


def test_check_passes_what_is_right(write_project, flows: Path, python_of, capsys) -> None:
    write_project()
    assert deploy.main(["check", "--flows", str(flows)], python_of) == 0
    assert capsys.readouterr().out.startswith("1 deployment")
