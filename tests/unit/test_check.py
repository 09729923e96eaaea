"""The rules between a `prefect.yaml`, its lock and its flows, over whole folders of projects."""

import json
import subprocess
from pathlib import Path

import pytest
from prefect.settings.models.server import api

import deploy
from deployer.check import check
from deployer.check.sizes import MAX_PARAMETER_BYTES, MAX_TAGS
from deployer.files.inventory import Inventory
from deployer.flows.project import Project, system_packages
from deployer.model.errors import DeployError

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
    text = "\n".join(problems())
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
        [line] = [line for line in text.splitlines() if line.startswith(f"flows/shop/prefect.yaml{start}")]
        assert reason in line
    assert len(text.splitlines()) == 11


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
    monkeypatch.setattr("deployer.flows.inspection.TIMEOUT", 1)
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
    folder = write_project(flow_py=f"from project import ours\n{flow_source}")
    [line] = problems()
    assert "No module named 'project' (flow.py line 1)" in line
    (folder / "project.py").write_text("ours = True")
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
    assert problems(inventory=Inventory(["heavy"])) == [
        f"{where}: the pools are heavy; or add it to work_pools in resources.yml",
    ]
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
    template = "deployments: [{name: a, entrypoint: 'flow.py:goodbye', work_pool: {work_queue_name: %s}}]"
    write_project(prefect_yaml=template % "night")
    assert problems() == [
        "flows/shop/prefect.yaml:1: deployments[0].work_pool.work_queue_name: "
        "the pool 'default' has no queue 'night': add it to the pool's work_queues in resources.yml"
    ]
    (flows / "resources.yml").write_text("work_pools: [{name: default, work_queues: [{name: night}]}]")
    assert problems() == []
    write_project(prefect_yaml=template % "default")
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
    "{{ $REGION }}": "unknown placeholder {{ $REGION }}",
    "a-{{ build-image.tag }}": "unknown placeholder {{ build-image.tag }}",
    "{{ prefect.blocks.string.x }}": "unknown placeholder {{ prefect.blocks.string.x }}",
    "{{ ctx.flow_run.name }}": "unknown placeholder {{ ctx.flow_run.name }}",
    "{{ prefect.blocks.secret.key.part }}": "the secret 'key' is not declared",
}


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize(("value", "reason"), TEMPLATES.items())
def test_what_no_worker_fills_in_is_refused(write_project, problems, value: str, reason: str) -> None:
    text = "deployments:\n- {name: a, entrypoint: 'flow.py:hello', work_pool: {job_variables: {%s}}}"
    write_project(prefect_yaml=text % f"env: {{A: '{value}'}}")
    [line] = problems()
    assert line.startswith(f"flows/shop/prefect.yaml:2: deployments[0].work_pool.job_variables.env.A: {reason}")
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


@pytest.mark.parametrize(("lock", "reason"), LOCKS.values(), ids=LOCKS)
def test_a_lock_is_there_pinned_and_hashed(write_project, problems, lock: str | None, reason: str) -> None:
    write_project(requirements_txt=lock)
    [line] = problems()
    assert line.startswith(f"flows/shop/requirements.txt{reason}")


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


def test_a_file_of_another_name_is_to_be_renamed(write_project, problems, flows: Path) -> None:
    folder = write_project()
    (folder / "prefect.yaml").rename(folder / "prefect.yml")
    (flows / "resources.yml").rename(flows / "resources.yaml")
    (flows / "targets.yml").rename(flows / "targets.yaml")
    assert problems() == [
        "flows/resources.yaml:1: is not read: rename it to resources.yml",
        "flows/shop/prefect.yaml:1: missing: rename prefect.yml to prefect.yaml",
        "flows/targets.yaml:1: is not read: rename it to targets.yml",
    ]
    with pytest.raises(DeployError, match=r"targets\.yml is missing, .*: rename targets\.yaml$"):
        problems("lab")


SCHEDULED = "deployments: [{name: a, entrypoint: 'flow.py:goodbye', schedules: [%s]}]"


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("{cron: 0 0 31 2 *}", "cron: '0 0 31 2 *' never fires"),
        ("{rrule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30}", "rrule: 'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30' never fires"),
        ("{rrule: 'RDATE:20200101T000000', active: false}", "rrule: 'RDATE:20200101T000000' is over"),
        ("{interval: 1000000000000}", "interval: 1000000000000 has no date that the server can compute: "),
    ],
)
def test_a_schedule_that_has_no_run_is_refused(write_project, problems, schedule: str, reason: str) -> None:
    write_project(prefect_yaml=SCHEDULED % f"{{cron: 0 2 * * *}}, {schedule}")
    [line] = problems()
    assert line.startswith(f"flows/shop/prefect.yaml:1: deployments[0].schedules[1].{reason}")


def test_what_the_server_bears_is_what_it_says() -> None:
    assert api.ServerAPISettings.model_fields["max_parameter_size"].default == MAX_PARAMETER_BYTES


@pytest.mark.usefixtures("imported")
def test_parameters_are_no_larger_than_the_server_takes(write_project, problems) -> None:
    template = (
        "deployments: [{name: a, entrypoint: 'flow.py:hello', parameters: {who: %s}, schedules: [{interval: 9%s}]}]"
    )
    most = MAX_PARAMETER_BYTES - len('{"who":""}')
    write_project(prefect_yaml=template % ("x" * most, ""))
    assert problems() == []
    write_project(prefect_yaml=template % ("x" * (most + 1), ""))
    [line] = problems()
    assert "[0].parameters: a run would have 524,289 bytes of parameters, and the server takes 524,288: " in line
    # what JSON escapes counts as it is sent, and a run has the deployment's and the schedule's
    write_project(prefect_yaml=template % ("é" * (most // 6), ", parameters: {times: 12}"))
    [line] = problems()
    assert "deployments[0].schedules[0].parameters: a run would have 524,29" in line


@pytest.mark.usefixtures("imported")
def test_tags_are_no_more_than_a_run_bears(write_project, problems, flows: Path) -> None:
    tags = [f"tag-{number}" for number in range(MAX_TAGS)]
    template = "deployments: [{name: a, entrypoint: 'flow.py:goodbye', tags: [%s]}]"
    write_project(prefect_yaml=template % ", ".join([*tags, *tags]))
    assert problems("lab") == []
    (flows / "targets.yml").write_text("name: shop\ntargets: {lab: {mode: development, tags: [lab]}}")
    [line] = problems("lab")
    assert line.endswith("[0].tags: are 91 with those of the target, and a run takes 90: take some away")


@pytest.mark.parametrize("part", ['"""Says hello\\0."""', '"""Says \\ud800."""'])
def test_a_flow_says_nothing_that_no_server_stores(write_project, problems, flow_source: str, part: str) -> None:
    write_project(flow_py=flow_source.replace('"""Says goodbye."""', part))
    [line] = problems()
    assert line.startswith(
        "flows/shop/prefect.yaml:5: deployments[0].entrypoint: the flow's name, description or a def"
    )


PLAIN = """
deployments:
  - name: daily
    entrypoint: flow.py:dump
    parameters:
      address: postgresql://user:correct-horse@db/shop
      tables: [{at: "https://host/file?sig=correct-horse"}]
      dsn: host=db password=correct-horse
      password: correct-horse
      login: {user: root, password: four}
      fine: postgresql://user@db/shop
      filled: "postgresql://user:{password}@db/shop"
      query: SELECT * FROM t WHERE at > 'a:b@c'
    work_pool:
      job_variables: {env: {API_KEY: correct-horse, KEY: "{{ prefect.blocks.secret.four }}"}}
    schedules:
      - {cron: 0 2 * * *, parameters: {address: "mysql://u:correct-horse@db"}}
"""
DUMP_PLAIN = """
from typing import Annotated, Any

from prefect import flow
from pydantic import BaseModel, Field


class Login(BaseModel):
    user: str
    password: Annotated[str, Field(json_schema_extra={"format": "secret-block"})]


@flow
def dump(
    address: str,
    tables: list[dict[str, str]],
    dsn: str,
    password: str,
    login: Login,
    fine: str,
    filled: str,
    query: str,
    other: str = "redis://:correct-horse@cache",
):
    pass
"""


def test_a_password_is_warned_of_and_never_shown(write_project, flows: Path, python_of, capsys) -> None:
    write_project(prefect_yaml=PLAIN, flow_py=DUMP_PLAIN)
    (flows / "resources.yml").write_text(
        "work_pools: [{name: default}]\nsecrets: [four]\n"
        "variables:\n- {name: at, value: 'ftp://u:correct-horse@h'}\n- {name: api_key, value: {key: x}}"
    )
    (flows / "targets.yml").write_text(
        "name: shop\ntargets: {lab: {mode: development, parameters: {dump: {fine: 'smb://u:correct-horse@h'}}}}"
    )
    assert deploy.main(["check", "--flows", str(flows), "--target", "lab", "--json"], python_of) == 0
    captured = capsys.readouterr()
    assert "correct-horse" not in captured.out + captured.err
    assert [(warning["line"], warning["field"]) for warning in json.loads(captured.out)["warnings"]] == [
        (4, "variables[0].value"),
        (5, "deployments[0].parameters.other"),
        (6, "deployments[0].parameters.address"),
        (7, "deployments[0].parameters.tables[0].at"),
        (8, "deployments[0].parameters.dsn"),
        (9, "deployments[0].parameters.password"),
        (15, "deployments[0].work_pool.job_variables.env.API_KEY"),
        (17, "deployments[0].schedules[0].parameters.address"),
        (2, "targets.lab.parameters.dump.fine"),
    ]
    assert captured.err.count("warning: flows/") == 9
    assert "deployments[0].parameters.dsn: looks like a password" in captured.err


def commit(folder: Path, *ignored: str) -> None:
    """Makes the folder a repository, of all that is not ignored."""
    (folder / ".gitignore").write_text("".join(f"{line}\n" for line in ignored))
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


def test_flows_are_imported_as_they_would_be_shipped(write_project, problems, flow_source: str, flows: Path) -> None:
    folder = write_project(flow_py=f"from helper import ours\n{flow_source}")
    (folder / "helper.py").write_text("ours = True")
    (folder / "README").write_text("Not of the flow.")
    commit(flows.parent, "helper.py", "README")
    [line] = problems()
    assert line.startswith(
        "flows/shop/prefect.yaml:5: deployments[0].entrypoint: 'flow.py:goodbye' cannot be imported: "
    )
    assert line.endswith(
        "No module named 'helper' (flow.py line 1); helper.py is not in the release, as git ignores it: take it out of "
        ".gitignore, or `git add --force` it"
    )
    subprocess.run(["git", "add", "--force", "helper.py"], cwd=folder, check=True)
    assert problems() == []


def test_a_file_that_is_read_when_a_flow_is_imported_is_shipped(
    write_project, problems, flow_source: str, flows: Path
) -> None:
    folder = write_project(flow_py=f"from pathlib import Path\nPath('data/rows.csv').read_text()\n{flow_source}")
    (folder / "data").mkdir()
    (folder / "data/rows.csv").write_text("a,b\n")
    commit(flows.parent, "*.csv")
    [line] = problems()
    assert "No such file or directory: 'data/rows.csv' (flow.py line 2); data/rows.csv is not in the release" in line


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("name", ["prefect.yaml", "flow.py", "requirements.txt", "apt.txt", "wheels/own-1.whl"])
def test_what_the_platform_reads_of_a_project_is_shipped(write_project, problems, flows: Path, name: str) -> None:
    folder = write_project()
    (folder / "apt.txt").write_text("jq\n")
    (folder / "wheels").mkdir()
    (folder / "wheels/own-1.whl").write_text("")
    commit(flows.parent, name.rpartition("/")[2])
    [line] = problems()
    assert line.startswith(f"flows/shop/{name}:1: is not in the release, as git ignores it")


@pytest.mark.usefixtures("imported")
def test_a_project_that_lies_elsewhere_is_refused(write_project, problems, flows: Path) -> None:
    write_project("near")
    write_project("far").rename(flows.parent / "far")
    (flows / "far").symlink_to("../far")
    commit(flows.parent)
    lines = problems()
    assert "flows/far:1: is a link, which leads elsewhere on a worker: put the file itself there" in lines
    assert not any("near" in line for line in lines)


@pytest.mark.usefixtures("imported")
def test_a_project_that_is_a_repository_of_its_own_is_refused(write_project, problems, flows: Path) -> None:
    write_project("near")
    commit(flows.parent)
    commit(write_project("far"))
    lines = problems()
    assert any(
        line.startswith("flows/far/:1: is a repository of its own, which a release leaves out") for line in lines
    )
    assert not any("near" in line for line in lines)


@pytest.mark.parametrize("text", ['{"who": "x\\u0000"}', '{"who": {"x": ["\\ud800"]}}', '{"\\u0000": 1}'])
def test_a_run_is_given_no_text_that_no_server_stores(text: str, capsys) -> None:
    with pytest.raises(SystemExit):
        deploy.main(["run", "hello/daily", "--parameters", text])
    assert "a text in it holds a NUL or half a character" in capsys.readouterr().err


def test_check_says_everything_at_once_and_fails(write_project, flows: Path, python_of, capsys) -> None:
    write_project("bar", requirements_txt=None)
    write_project("shop", prefect_yaml="deployments: []")
    assert deploy.main(["check", "--flows", str(flows)], python_of) == 1
    errors = capsys.readouterr().err
    assert "flows/bar/requirements.txt:1: missing" in errors
    assert "flows/shop/prefect.yaml:1: deployments: must be" in errors

    assert deploy.main(["check", "--flows", str(flows), "--json"], python_of) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [(problem["file"], problem["line"], problem["field"]) for problem in answer["problems"]] == [
        ("flows/bar/requirements.txt", 1, ""),
        ("flows/shop/prefect.yaml", 1, "deployments"),
    ]


def test_check_passes_what_is_right(write_project, flows: Path, python_of, capsys) -> None:
    write_project()
    assert deploy.main(["check", "--flows", str(flows)], python_of) == 0
    assert capsys.readouterr().out.startswith("1 deployment")
