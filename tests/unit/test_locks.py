"""All locks are resolved, or none, and a table shows what moved; uv resolves packages that the tests make."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from requirements import locks

ROOT = Path(__file__).parents[2]
Release = Callable[..., Path]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Releases a package; uv knows no others."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.delenv(locks.AGE, raising=False)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(index))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))

    def release(package: str, version: str, *needs: str, python: str = ">=3.8") -> Path:
        wheel = index / f"{package}-{version}-py3-none-any.whl"
        metadata = [f"Name: {package}", f"Version: {version}", f"Requires-Python: {python}"]
        with ZipFile(wheel, "w") as archive:
            info = f"{package}-{version}.dist-info"
            lines = ["Metadata-Version: 2.1", *metadata, *(f"Requires-Dist: {need}" for need in needs)]
            archive.writestr(f"{info}/METADATA", "\n".join(lines))
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        return wheel

    return release


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose server wants one package."""
    clone = tmp_path / "clone"
    (clone / "requirements").mkdir(parents=True)
    (clone / "requirements/server.in").write_text("shop\n")
    return clone


@pytest.fixture
def run(clone: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    """Runs a command that works; gives the lines it printed, with one space between columns."""

    def run(command: str, *options: str) -> list[str]:
        monkeypatch.setattr("sys.argv", ["locks", command, *options, "--root", str(clone)])
        code = locks.main()
        output, errors = capfd.readouterr()
        assert code == 0, errors
        *lines, age = [re.sub(r" +", " ", line).strip() for line in output.splitlines()]
        assert age == "Releases younger than 1 week are left out (UV_EXCLUDE_NEWER=… says otherwise)."
        return lines

    return run


def test_a_lock_is_hashed_names_no_index_and_tells_what_moved(release: Release, clone: Path, run) -> None:
    release("shop", "1.0", "till>=1")
    release("till", "1.0")
    assert run("lock") == [
        "requirements/server.txt",
        "package from to",
        "shop - 1.0",
        "till - 1.0",
    ]
    wheel = release("shop", "2.0", "shelf")
    release("shelf", "1.0")
    assert run("lock")[2:] == ["shelf - 1.0", "shop 1.0 2.0", "till 1.0 -"]
    lock = (clone / "requirements/server.txt").read_text()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert f"shop==2.0 \\\n    --hash=sha256:{digest}\n    # via -r server.in\n" in lock
    assert "index" not in lock
    assert run("lock") == ["requirements/server.txt: nothing moved"]


def test_a_lock_may_hold_several_versions_of_a_package(release: Release, run) -> None:
    release("shop", "1.0")
    run("lock")
    release("shop", "2.0", python=">=3.12")
    assert "shop 1.0 1.0, 2.0" in run("lock")
    release("shop", "2.1", python=">=3.12")
    assert "shop 1.0, 2.0 1.0, 2.1 2.1" in run("outdated")
    assert "shop 1.0, 2.0 1.0, 2.1" in run("lock")


def test_a_project_is_locked_alone(release: Release, clone: Path, run) -> None:
    release("shop", "1.0")
    for name in ("sales", "stock"):
        (clone / "flows" / name).mkdir(parents=True)
        (clone / "flows" / name / "requirements.in").write_text("shop\n")
    assert run("lock", "--project=sales")[0] == "flows/sales/requirements.txt"
    assert [str(path.relative_to(clone)) for path in clone.rglob("*.txt")] == ["flows/sales/requirements.txt"]
    with pytest.raises(AssertionError, match=r"flows/sails has no requirements\.in: correct PROJECT="):
        run("lock", "--project=sails")


def test_what_goes_back_stands_out(release: Release, run) -> None:
    release("shop", "1.0", "till")
    release("till", "10.0")
    release("till", "9.0")
    run("lock")
    release("shop", "2.0", "till<10")
    assert run("lock")[2:] == ["shop 1.0 2.0", "till 10.0 9.0 older"]


def test_only_what_is_resolved_is_limited_by_age() -> None:
    # An environment that is built from a lock in the same process must take any release that the lock names
    script = "import os; before = dict(os.environ); import requirements.locks; assert dict(os.environ) == before"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_lock_changes_unless_all_can_be_resolved(
    release: Release, clone: Path, run, capfd: pytest.CaptureFixture[str]
) -> None:
    release("shop", "1.0")
    run("lock")
    release("shop", "2.0")
    (clone / "requirements/worker.in").write_text("shop>2\n")
    before = (clone / "requirements/server.txt").read_text()
    assert locks.main() == 1
    assert "could not resolve requirements/worker.in, for the reason above" in (said := capfd.readouterr().err)
    assert "shop>2" in said
    assert (clone / "requirements/server.txt").read_text() == before
    assert not (clone / "requirements/worker.txt").exists()
    assert not list((clone / ".cache").iterdir())


def test_what_could_move_and_what_is_held_is_listed_without_a_change(release: Release, clone: Path, run) -> None:
    (clone / "requirements/server.in").write_text("shop\ntill<2\n")
    release("shop", "1.0")
    release("till", "1.0")
    run("lock")
    lock = (clone / "requirements/server.txt").read_text()
    assert run("outdated") == ["Every package is the latest."]
    release("shop", "1.10")
    release("till", "2.0")
    assert run("outdated") == ["package locked make lock latest", "shop 1.0 1.10 1.10", "till 1.0 1.0 2.0"]
    assert (clone / "requirements/server.txt").read_text() == lock


def test_the_tests_of_a_project_get_its_own_versions(release: Release, clone: Path, run) -> None:
    project = clone / "flows/shop"
    project.mkdir(parents=True)
    (project / "requirements.in").write_text("till<2\n")
    (project / "requirements-dev.in").write_text("till\nshop\n")
    for version in ("1.0", "2.0"):
        release("till", version)
    release("shop", "1.0")
    run("lock")
    assert "till==1.0 " in (project / "requirements-dev.txt").read_text()


def test_a_project_may_bring_wheels_that_no_index_has(release: Release, clone: Path, run) -> None:
    wheels = clone / "flows/shop/wheels"
    wheels.mkdir(parents=True)
    release("till", "1.0").rename(wheels / "till-1.0-py3-none-any.whl")
    release("shop", "1.0")
    (clone / "flows/shop/requirements.in").write_text("till\n")
    run("lock")
    lock = (clone / "flows/shop/requirements.txt").read_text()
    assert re.match(r"till==1.0 \\\n +--hash=sha256:", lock)
    assert "wheels" not in lock


def test_every_lock_of_this_clone_is_among_them() -> None:
    made = {".cache", ".git", ".lab", ".venv"}
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in made]
    sources = {path for folder in folders for path in folder.rglob("*.in") if not path.is_symlink()}
    assert {path for pattern in locks.SOURCES for path in ROOT.glob(pattern)} == sources
