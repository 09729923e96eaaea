"""Nothing that is or may be in use is removed, and nothing else stays."""

import os
import time
from pathlib import Path

import pytest

from host import prune

OLD = time.time() - 30 * 86400


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host: environments of a month ago, each a minute younger than the one before."""
    names = ["uv-1", "worker-1", "worker-2", "worker-3", "worker-4", "shop-1", "shop-2", "shop-3", "shop-4"]
    for minute, name in enumerate(names):
        environment(tmp_path, name, OLD + 60 * minute)
    for folder in ("units/x.service.d", "proc/17", "proc/18", "flows/releases/r1"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "units/prefect-worker@.service").write_text(f"ExecStart={tmp_path}/envs/worker-1/bin/prefect worker")
    (tmp_path / "flows/releases/r1/.manifest-lab.json").write_text(
        f'{{"command": "{tmp_path}/envs/shop-1/bin/python -m x"}}'
    )
    (tmp_path / "proc/17/cmdline").write_text(f"{tmp_path}/envs/shop-2/bin/python\0-m\0prefect.engine\0")
    return tmp_path


def environment(root: Path, name: str, born: float) -> None:
    folder = root / "envs" / name
    folder.mkdir(parents=True)
    for path in (folder / ".complete", folder):
        path.touch()
        os.utime(path, (born, born))


def names(root: Path) -> set[str]:
    return {path.name for path in prune.unneeded(root, root / "units", root / "proc")}


def test_environments_of_projects_are_in_a_folder_of_their_own(root: Path) -> None:
    for name in ("shop-1", "shop-6", "shop-7", "server-1"):
        environment(root / "flows", name, OLD)
    manifest = root / "flows/releases/r1/.manifest-dev.json"
    manifest.write_text(f'{{"command": "{root}/flows/envs/shop-6/bin/python -m x"}}')
    (root / "proc/18/cmdline").write_text(f"{root}/flows/envs/shop-7/bin/python\0-m\0prefect.engine\0")
    (root / "flows/envs/.uv-cache").mkdir()
    (root / "flows/envs/link").symlink_to(root / "envs")
    os.utime(root / "envs", (OLD, OLD))
    os.mkfifo(root / "flows/releases/r1/.manifest-pipe.json")
    gone = {path for path in prune.unneeded(root, root / "units", root / "proc") if path.parent.parent.name == "flows"}
    assert gone == {root / "flows/envs/shop-1", root / "flows/envs/server-1"}


def test_the_cache_of_the_projects_goes_with_their_environments(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(root / "flows", "shop-9", OLD)
    (root / "flows/envs/shop-9.txt").touch()
    (root / "flows/envs/.uv-cache").mkdir()
    monkeypatch.setattr(prune, "unneeded", lambda root: [root / "flows/envs/shop-9"])
    prune.main(str(root))
    assert list((root / "flows/envs").iterdir()) == []


def test_what_nothing_names_goes(root: Path) -> None:
    assert names(root) == {"worker-2", "shop-3", "shop-4"}


def test_what_is_young_stays(root: Path) -> None:
    environment(root, "shop-5", time.time() - 3600)
    assert "shop-5" not in names(root)


def test_a_half_built_one_goes_in_the_end(root: Path) -> None:
    (root / "envs/shop-4/.complete").unlink()
    os.utime(root / "envs/shop-4", (OLD, OLD))
    assert "shop-4" in names(root)


def test_the_last_two_programs_and_those_in_use_stay(root: Path) -> None:
    for minute, name in enumerate(["in-use", "earlier", "before", "last"]):
        folder = root / "platform" / name
        (folder / "host").mkdir(parents=True)
        os.utime(folder, (OLD + 60 * minute, OLD + 60 * minute))
    (root / "platform/current").symlink_to("in-use")
    assert {name for name in names(root) if (root / "platform" / name).exists()} == {"earlier"}
