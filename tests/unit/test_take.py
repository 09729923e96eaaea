"""What another machine has packed is taken without any code of the flows, or refused before anything is shipped."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import deploy
from deployer.files.inventory import Inventory
from deployer.model.manifest import Manifest

Take = Callable[..., tuple[int, str]]


@pytest.fixture
def packed(flows: Path, write_project, python_of, imported, tmp_path: Path) -> Path:
    """A release for `lab`, packed without inventory, whose flows are gone since."""
    folder = write_project()
    (folder / "apt.txt").write_text("jq\n")
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "one"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    assert deploy.main(["pack", "--flows", str(flows), "--target", "lab", str(tmp_path / "packed")], python_of) == 0
    flows.rename(tmp_path / "gone")
    return tmp_path / "packed"


@pytest.fixture
def take(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Take:
    """Takes it, for a target and pools; gives the exit code, and what was said."""

    def no_python(project: object) -> Path:
        raise AssertionError(f"{project} is imported")

    async def in_use() -> list[str]:
        return ["r0"]

    monkeypatch.setattr(deploy, "_in_use", in_use)

    def call(target: str = "lab", pools: tuple[str, ...] = ("default",)) -> tuple[int, str]:
        capsys.readouterr()
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps({"msg": {"platform_inventory": {"work_pools": pools}}}))
        code = deploy.main(["take", "--target", target, "--inventory", str(inventory), str(packed)], no_python)
        output = capsys.readouterr()
        return code, output.err if code else output.out

    return call


def test_it_tells_what_the_workers_need(take: Take, packed: Path) -> None:
    code, output = take()
    assert code == 0
    taken = json.loads(output)
    [lock] = taken.pop("locks")
    assert lock["name"] == "shop"
    assert Path(lock["lock"]).read_text().startswith("prefect==")
    assert taken.pop("release")
    assert taken == {
        "archive": str(packed / "flows.tar"),
        "manifest": str(packed / "manifest.json"),
        "system_packages": ["jq"],
        "in_use": ["r0"],
    }


def change_archive(packed: Path) -> None:
    with (packed / "flows.tar").open("ab") as file:
        file.write(b"\0")


def change_release(packed: Path) -> None:
    manifest = json.loads((packed / "manifest.json").read_text())
    (packed / "manifest.json").write_text(json.dumps(manifest | {"release": "../elsewhere"}))


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (change_archive, {}, "flows.tar is not the archive that its manifest names: run `make pack` again"),
        (lambda packed: (packed / "flows.tar").unlink(), {}, "flows.tar is missing"),
        (lambda packed: (packed / "manifest.json").unlink(), {}, "`make pack` makes one"),
        (change_release, {}, "'../elsewhere' cannot name a release"),
        (lambda packed: None, {"target": "production"}, "is for shop/lab, not for production: run `make pack` again"),
        (
            lambda packed: None,
            {"pools": ("heavy",)},
            "serves the pool 'default' of ciao/daily: served are heavy",
        ),
    ],
)
def test_what_is_not_as_it_was_packed_is_refused_in_one_line(
    change: Callable[[Path], None], options: dict, words: str, take: Take, packed: Path
) -> None:
    change(packed)
    code, output = take(**options)
    assert code == 1
    assert words in output
    assert output.count("\n") == 1


def test_pools_that_only_the_inventory_has_are_added_when_they_are_known() -> None:
    manifest = Manifest("r1", "shop/lab", [], {"secret": []})
    added = Inventory(["second", "default"]).complete(manifest)
    assert [(resource.kind, resource.name, resource.fields) for resource in added.resources] == [
        ("work pool", "default", {"type": "process"}),
        ("work pool", "second", {"type": "process"}),
    ]
    assert Inventory(["second"]).complete(Manifest("r1", "shop/lab", [])).resources == [], "of another target's server"
