"""What differs by target, and what a production target refuses."""

import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

import deploy
from deployer.check import check
from deployer.desired import Release, desired_manifest
from deployer.files.inventory import Inventory
from deployer.model.errors import DeployError
from deployer.server.kinds.deployments import Deployments
from deployer.server.kinds.kind import ServerResource

pytestmark = pytest.mark.usefixtures("imported")

PROJECT = """
deployments:
  - name: daily
    entrypoint: flow.py:hello
    tags: [shop]
    parameters: {who: you}
    schedules:
      - {cron: 0 2 * * *, slug: night}
  - name: hourly
    entrypoint: flow.py:goodbye
    tags: [test]
    paused: true
    schedules:
      - {cron: 0 * * * *, active: false}
"""
RELEASE = Release("r1", PurePosixPath("/flows"), PurePosixPath("/envs"))


@pytest.fixture
def checked(flows: Path, write_project, python_of):
    """The two deployments, checked for a target that is written as YAML's flow mapping."""

    def call(target: str, inventory: Inventory | None = None, project: str = PROJECT):
        write_project(prefect_yaml=project)
        (flows / "targets.yml").write_text(f"name: shop\ntargets:\n  one:\n    {target}\n")
        return check(flows, "one", inventory, python_of)

    return call


def test_a_target_changes_what_it_names(checked) -> None:
    target = (
        "{mode: development, name_prefix: dev-, schedules: paused, tags: [dev, shop], work_pool: default,"
        " parameters: {hello: {times: 3}}}"
    )
    result = checked(target)
    assert result.problems == []
    manifest = desired_manifest(result, RELEASE, ["default"])
    assert manifest.owner == "shop/one"
    assert [resource.name for resource in manifest.resources] == ["hello/dev-daily", "ciao/dev-hourly"], (
        "with a prefix, only these"
    )
    daily, hourly = (resource.fields for resource in manifest.resources)
    assert daily["tags"] == ["shop", "dev"]
    assert daily["parameters"] == {"who": "you", "times": 3}
    assert "parameters" in hourly
    assert hourly["parameters"] == {}
    assert [schedule["active"] for schedule in daily["schedules"]] == [False]


def test_what_a_target_paused_runs_again_and_what_was_paused_by_hand_does_not(checked) -> None:
    def compare(fields: dict, target: str) -> tuple[dict, dict]:
        desired = next(
            resource
            for resource in desired_manifest(checked(target), RELEASE, []).resources
            if "daily" in resource.name
        )
        comparison = Deployments(None, "shop/one").compare(desired, ServerResource("id", fields))
        return comparison.fields, {
            difference.field: (difference.old, difference.new) for difference in comparison.differences
        }

    empty = {"labels": {}, "schedules": []}
    paused, _ = compare(empty, "{mode: development, schedules: paused}")
    assert compare(paused, "{mode: development, schedules: paused}")[1] == {}
    running, differences = compare(paused, "{mode: development}")
    assert differences == {
        "labels.platform.schedules-paused": (True, False),
        "schedules.night.active": (False, True),
    }
    assert compare(running, "{mode: development}")[1] == {}
    by_hand = running | {"schedules": [schedule | {"active": False} for schedule in running["schedules"]]}
    assert compare(by_hand, "{mode: development}")[1] == {}
    # what was registered before there was this label
    before = {key: value for key, value in by_hand["labels"].items() if "paused" not in key}
    assert compare(by_hand | {"labels": before}, "{mode: development}")[1] == {}


def test_a_targets_pool_takes_the_place_of_the_projects_own(checked, flows: Path) -> None:
    (flows / "resources.yml").write_text("work_pools: [{name: default}, {name: heavy}]\n")
    for inventory in (None, Inventory(["heavy"])):
        result = checked("{mode: development, work_pool: heavy}", inventory)
        assert result.problems == []
        pools = {
            resource.fields["work_pool_name"]
            for resource in desired_manifest(result, RELEASE, []).resources
            if "/" in resource.name
        }
        assert pools == {"heavy"}
    [line] = checked("{mode: development, work_pool: heavy}", Inventory(["default"])).problems
    assert line.field == "targets.one.work_pool"
    assert line.message == "no worker of this environment serves the pool 'heavy': served are default"


def test_a_targets_parameters_are_given_to_schedules_too(checked) -> None:
    project = PROJECT.replace("    parameters: {who: you}\n", "")
    [line] = checked("{mode: development}", project=project).problems
    assert "the flow 'hello' needs who" in line.message
    assert checked("{mode: development, parameters: {hello: {who: you}}}", project=project).problems == []


def test_deployments_with_some_tags_stay_out(checked) -> None:
    manifest = desired_manifest(checked("{mode: production, without_tags: [test]}"), RELEASE, [])
    assert [resource.name for resource in manifest.resources] == ["default", "hello/daily"]


def test_production_refuses_tests_and_silent_pauses(checked) -> None:
    problems = [str(problem) for problem in checked("{mode: production}").problems]
    assert [problem.split(": ")[:2] for problem in problems] == [
        ["flows/shop/prefect.yaml:11", "deployments[1].tags"],
        ["flows/shop/prefect.yaml:12", "deployments[1].paused"],
        ["flows/shop/prefect.yaml:14", "deployments[1].schedules[0].active"],
    ]
    assert "'test' does not belong into production" in problems[0]
    assert "list 'ciao/hourly' under `paused` of one in targets.yml" in problems[1]
    [line] = checked("{mode: production, paused: [ciao/hourly]}").problems
    assert line.field == "deployments[1].tags"
    assert checked("{mode: development}").problems == []
    project = PROJECT.split("  - name: hourly")[0].replace("shop", "TESTING")
    [line] = checked("{mode: production}", project=project).problems
    assert "'TESTING' does not belong into production" in line.message


BAD = {
    "no mode": ("{tags: [a]}", "targets.one.mode: Field required"),
    "mode": ("{mode: prod}", "targets.one.mode: Input should be 'development' or 'production'"),
    "unknown": ("{mode: development, tag: [a]}", "targets.one.tag: Extra inputs are not permitted"),
    "all paused": (
        "{mode: production, schedules: paused}",
        "targets.one.schedules: production is not paused as a whole",
    ),
    "a test": ("{mode: production, tags: [a, Test]}", "targets.one.tags[1]: 'Test' does not belong into production"),
    "prefix": ("{mode: development, name_prefix: a/b-}", "targets.one.name_prefix: String should match pattern"),
    "flow": ("{mode: development, parameters: {helo: {}}}", "targets.one.parameters.helo: there is no flow 'helo'"),
    "parameter": (
        "{mode: development, parameters: {hello: {tims: 1}}}",
        "targets.one.parameters.hello.tims: is not a parameter of the flow 'hello': did you mean 'times'?",
    ),
    "value": (
        "{mode: development, parameters: {hello: {times: often}}}",
        "targets.one.parameters.hello.times: 'often' is not of type 'integer'",
    ),
    "paused": ("{mode: development, paused: [hello/weekly]}", "targets.one.paused[0]: there is no deployment"),
}


@pytest.mark.parametrize(("target", "reason"), BAD.values(), ids=BAD)
def test_a_wrong_target_is_refused_where_it_is_wrong(checked, target: str, reason: str) -> None:
    problems = [str(problem) for problem in checked(target).problems if problem.file == "flows/targets.yml"]
    assert len(problems) == 1, problems
    # what is missing is told where the target begins
    assert f"flows/targets.yml:{3 if 'required' in reason else 4}: {reason}" in problems[0]


def test_the_pool_of_a_target_is_one_that_workers_serve(checked) -> None:
    target = "{mode: development, work_pool: heavy}"
    assert checked(target).problems == [], "who has an inventory knows"
    [line] = checked(target, Inventory(["default"])).problems
    where = "flows/targets.yml:4: targets.one.work_pool"
    assert str(line) == f"{where}: no worker of this environment serves the pool 'heavy': served are default"


def test_a_target_that_is_none_is_one_line(checked, flows: Path, python_of) -> None:
    checked("{mode: development}")
    with pytest.raises(DeployError, match="has no target 'two': it has one"):
        check(flows, "two", None, python_of)
    (flows / "targets.yml").unlink()
    with pytest.raises(DeployError, match=r"targets.yml is missing, which says what 'two' is"):
        check(flows, "two", None, python_of)
    assert check(flows, None, None, python_of).problems == []


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"], ids=["empty", "a comment", "a document"])
def test_a_file_that_says_nothing_is_no_target(checked, flows: Path, python_of, text: str) -> None:
    checked("{mode: development}")
    (flows / "targets.yml").write_text(text)
    with pytest.raises(DeployError, match=r"targets.yml is empty, and has to say what 'production' is"):
        check(flows, "production", None, python_of)
    assert check(flows, None, None, python_of).problems == []


def test_production_takes_committed_code_only(flows: Path, write_project, python_of, tmp_path: Path, capsys) -> None:
    write_project()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *author, "commit", "-qm", "one"], cwd=tmp_path, check=True)
    command = ["pack", "--flows", str(flows), str(tmp_path / "out")]
    assert deploy.main([*command, "--target", "production"], python_of) == 0
    write_project("bar", prefect_yaml="deployments: [{name: other, entrypoint: 'flow.py:goodbye'}]")
    assert deploy.main([*command, "--target", "production"], python_of) == 1
    assert "flows/ has uncommitted changes, and only committed code may run here" in capsys.readouterr().err
    assert deploy.main([*command, "--target", "production", "--release", "r1"], python_of) == 1
    assert "flows/ has uncommitted changes" in capsys.readouterr().err, "a name of its own makes it no better"
    assert deploy.main([*command, "--target", "lab"], python_of) == 0
    assert "-dirty-" in capsys.readouterr().out
    shutil.rmtree(flows / "bar")
    assert deploy.main([*command, "--target", "production", "--release", "r1"], python_of) == 1
    assert ", not r1: check out its commit, or give its MANIFEST" in capsys.readouterr().err
