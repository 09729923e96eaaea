"""Environments are whole or not there, however their building ends and whoever else builds."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import deploy
from deployer.flows import environments
from deployer.flows.locks import lock_hash
from deployer.flows.project import Project, find_project
from deployer.model.errors import DeployError


@pytest.fixture
def builds(monkeypatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """Has uv only noted, and an environment's Python put where uv would."""
    calls: list[tuple[str, ...]] = []

    def uv(*arguments: str) -> None:
        calls.append(arguments)
        if arguments[0] == "venv":
            python = Path(arguments[-1], "bin", "python")
            python.parent.mkdir(parents=True)
            python.touch()

    monkeypatch.setattr(environments, "CACHE", tmp_path / "envs")
    monkeypatch.setattr(environments, "_uv", uv)
    return calls


def test_an_environment_is_built_once_for_a_lock(write_project, builds) -> None:
    project = Project(write_project())
    python = environments.environment_python(project)
    assert environments.environment_python(project) == python
    assert [call[0] for call in builds] == ["venv", "pip"]
    assert "--require-hashes" in builds[1]
    assert python.parts[-3] == lock_hash(project.folder / "requirements.txt")
    with (project.folder / "requirements.txt").open("a") as lock:
        lock.write("six==1.17.0 --hash=sha256:00\n")
    assert environments.environment_python(project) != python


def test_wheels_of_a_project_are_found(write_project, builds) -> None:
    project = Project(write_project())
    wheels = project.folder / "wheels"
    wheels.mkdir()
    environments.environment_python(project)
    assert builds[1][builds[1].index("--find-links") + 1] == str(wheels)


def test_what_was_left_half_built_is_built_anew(write_project, builds, monkeypatch) -> None:
    project, whole = Project(write_project()), environments._uv

    def fails(*arguments: str) -> None:
        whole(*arguments)
        if arguments[0] == "pip":
            raise KeyboardInterrupt

    monkeypatch.setattr(environments, "_uv", fails)
    with pytest.raises(KeyboardInterrupt):
        environments.environment_python(project)
    [half] = [path for path in environments.CACHE.iterdir() if path.is_dir()]
    (half / "leftover").touch()
    monkeypatch.setattr(environments, "_uv", whole)
    assert environments.environment_python(project).exists()
    assert not (half / "leftover").exists()


def test_a_builder_keeps_others_waiting(write_project, builds, monkeypatch) -> None:
    project, whole, second = Project(write_project()), environments._uv, []
    with ThreadPoolExecutor(1) as executor:

        def uv(*arguments: str) -> None:
            whole(*arguments)
            if arguments[0] == "pip":
                second.append(executor.submit(environments.environment_python, project))
                [lock] = environments.CACHE.glob("*.lock")
                with lock.open() as turn, pytest.raises(BlockingIOError):
                    fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)

        monkeypatch.setattr(environments, "_uv", uv)
        first = environments.environment_python(project)
        assert second[0].result(timeout=60) == first
    assert [call[0] for call in builds] == ["venv", "pip"]


def test_a_failing_build_is_one_line_that_names_the_lock(write_project, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environments, "CACHE", tmp_path / "envs")
    project = Project(write_project(requirements_txt="prefect==3.9.1 --hash=md5:00\n"))
    with pytest.raises(DeployError) as error:
        environments.environment_python(project)
    assert "shop/requirements.txt" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_python_of_a_project_is_printed_and_shared_by_those_of_the_same_lock(
    write_project, builds, flows: Path, capsys
) -> None:
    folder = write_project()
    write_project("other")
    (folder / "requirements-dev.txt").write_text((folder / "requirements.txt").read_text() + "# more\n")
    for arguments in (["shop"], ["other"], ["shop", "--dev"]):
        assert deploy.main(["python", *arguments, "--flows", str(flows)]) == 0
    shop, other, dev = capsys.readouterr().out.split()
    assert shop == other
    assert shop != dev


@pytest.mark.parametrize("name", ["nothing", "../flows/shop", ""])
def test_an_unknown_project_is_refused(write_project, flows: Path, name: str) -> None:
    write_project()
    with pytest.raises(DeployError, match="there is no project"):
        find_project(flows, name)
