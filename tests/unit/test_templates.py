"""Projects made from the templates are fit to be deployed, and their own tests pass."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cookiecutter.exceptions import UndefinedVariableInTemplate
from shared import made_once

import deploy
from deployer.files.document import Document
from deployer.files.prefect_yaml import read_declarations
from deployer.flows import environments
from deployer.flows.project import find_project
from templates import new_project

ROOT = Path(__file__).parents[2]
# Short ones that YAML could take for something else, and the longest ones, which make lines long
NAMES = {"null": "db_dump", "on": "pipeline", "d" * 63: "db_dump", "p_" * 31: "pipeline", "y": "plain"}


def run(*command: str | Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, **options)


def call(name: str, template: str, flows: Path, **options) -> subprocess.CompletedProcess:
    """What `make new-project` calls, with another folder of projects."""
    module = [sys.executable, "-m", "templates.new_project", "--flows", flows, "--"]
    return run(*module, name, template, cwd=ROOT, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Projects from all templates."""
    with made_once(tmp_path_factory, "made") as (place, empty):
        if empty:
            make(place / "flows", place / "home")
    return place / "flows"


def make(flows: Path, home: Path) -> None:
    """What users would do, who have settings of their own for Cookiecutter."""
    flows.mkdir()
    home.mkdir()
    (flows / "resources.yml").write_text("work_pools: [{name: default}]\n")
    (flows / "targets.yml").write_text("name: made\ntargets: {production: {mode: production}}\n")
    (home / ".cookiecutterrc").write_text("default_context: {project: other}")
    for name, template in NAMES.items():
        done = call(name, template, flows, env=os.environ | {"HOME": str(home)})
        assert done.returncode == 0, done.stderr
        assert f"flows/{name} is ready" in done.stdout
    assert sorted(path.name for path in flows.iterdir()) == sorted([*NAMES, "resources.yml", "targets.yml"])
    assert [path.name for path in home.iterdir()] == [".cookiecutterrc"]


def test_they_are_fit_to_be_registered(made: Path, capsys) -> None:
    # in the environment that their tests need too, so that one is built for all of them
    command = ["check", "--flows", str(made), "--target", "production"]
    code = deploy.main(command, lambda project: environments.environment_python(project, dev=True))
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["null", "on", "y"])
def test_their_own_tests_pass(made: Path, name: str) -> None:
    python = environments.environment_python(find_project(made, name), dev=True)
    done = run(python, "-m", "pytest", "tests", cwd=made / name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_are_clean(made: Path) -> None:
    for tool in (["ruff", "check"], ["ruff", "format", "--check"]):
        done = run(*tool, "--config", ROOT / "pyproject.toml", "flows", cwd=made.parent)
        assert done.returncode == 0, done.stdout + done.stderr
    done = run("yamllint", "--strict", "--config-file", ROOT / ".yamllint", "flows", cwd=made.parent)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_flow_is_called_as_its_project_and_waits_to_be_switched_on(made: Path, tmp_path: Path, name: str) -> None:
    assert f'\nNAME = "{name.replace("_", "-")}"\n' in (made / name / "flow.py").read_text()
    file = made / name / "prefect.yaml"
    written = yaml.safe_load(file.read_text())
    assert written["name"] == name
    assert [one.get("schedules") for one in written["deployments"]] == [None]
    switched_on = tmp_path / "prefect.yaml"
    switched_on.write_text(re.sub(r"(?m)^    # (schedules:|  .*)$", r"    \1", file.read_text()))
    document = Document(switched_on, "prefect.yaml")
    [one] = read_declarations(document, made / name)
    assert document.problems == []
    assert len(one.schedules) == 1


@pytest.mark.parametrize(
    ("name", "template", "message"),
    [
        *[(name, "db_dump", f"NAME={name!r}: a project is named") for name in ("", "Sales", "1st", "a-b", "../x", "é")],
        ("a" * 64, "db_dump", "has at most 63"),
        ("sales\n", "db_dump", r"NAME='sales\n': a project is named"),
        ("server", "pipeline", "NAME='server': is the name of an environment of the platform"),
        ("taken", "pipeline", "NAME='taken': flows/taken exists"),
        ("sales", "", "TEMPLATE='': the templates are db_dump, pipeline, plain"),
        ("sales", "shared", "TEMPLATE='shared': the templates are"),
        ("sales", "../templates/db_dump", "TEMPLATE='../templates/db_dump': the templates are"),
    ],
)
def test_refusals(flows: Path, capsys, monkeypatch, name: str, template: str, message: str) -> None:
    (flows / "taken").mkdir()
    monkeypatch.setattr(sys, "argv", ["new_project", "--flows", str(flows), "--", name, template])
    assert new_project.main() == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in flows.iterdir() if path.is_dir()] == ["taken"]
    assert list((flows / "taken").iterdir()) == []


def test_what_fails_half_way_leaves_nothing(flows: Path, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "broken" / "{{cookiecutter.project}}"
    folder.mkdir(parents=True)
    (folder.parent / "cookiecutter.json").write_text('{"project": "sales"}')
    (folder / "a.py").write_text("whole")
    (folder / "b.py").write_text("{{ cookiecutter.unknown }}")
    monkeypatch.setattr(new_project, "TEMPLATES", tmp_path)
    with pytest.raises(UndefinedVariableInTemplate):
        new_project.make("sales", "broken", flows)
    assert not [path for path in flows.iterdir() if path.is_dir()]


@pytest.mark.parametrize("name", ["Sales", "a b", "a'b", "$(touch made)", "--help"])
def test_make_hands_over_what_it_was_given(name: str) -> None:
    outer = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = run("make", "-o", ".venv/.complete", "new-project", f"NAME={name}", "TEMPLATE=db_dump", cwd=ROOT, env=outer)
    assert done.returncode == 2
    assert done.stderr.startswith(f"NAME={name!r}: a project is named")
