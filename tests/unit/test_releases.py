"""Releases on a host, by the playbooks themselves: what is kept, what a target goes back to, two that ship at once."""

import getpass
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ANSIBLE = Path(__file__).parents[2] / "ansible"
DAY = 86400
PLAY = """- hosts: worker
  gather_facts: false
  tasks:
    - ansible.builtin.import_tasks: {}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the flows."""
    (tmp_path / "flows/releases").mkdir(parents=True)
    return tmp_path / "flows"


@pytest.fixture
def play(root: Path, tmp_path: Path):
    """Plays a playbook, or a file of tasks, on this machine; gives the exit code and what was said."""
    (tmp_path / "hosts").write_text("[worker]\nlocalhost ansible_connection=local\n[database]\n")

    def call(file: Path, target: str = "lab", release: str = "", also: str = "{}", **given: str) -> tuple[int, str]:
        playbook = file
        if file.parent.name == "tasks":
            playbook = tmp_path / file.name
            playbook.write_text(PLAY.format(file))
        values = {"flows_root": root, "ansible_become": "false", "platform_env": target}
        values |= {"platform_deploy_user": getpass.getuser()} | given
        options = [option for name, value in values.items() for option in ("-e", f"{name}={value}")]
        settings = {"RELEASE": release}
        command = ["ansible-playbook", "-i", tmp_path / "hosts", *options]
        command += ["-e", '{"flows_in_use": ["used"]}', "-e", also, playbook]
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return call


def manifest(release: str, target: str) -> str:
    """What a release wants registered."""
    return json.dumps({"release": release, "owner": f"data-platform/{target}"})


def deployed(root: Path, release: str, *targets: str, days: float) -> Path:
    """A release that was deployed to the targets so many days ago."""
    folder = root / "releases" / release
    folder.mkdir(exist_ok=True)
    at = time.time() - days * DAY
    for target in targets:
        (folder / f".manifest-{target}.json").write_text(manifest(release, target))
        os.utime(folder / f".manifest-{target}.json", (at, at))
    os.utime(folder, (at, at))
    return folder


def test_the_last_five_of_each_target_stay_and_what_is_needed(root: Path, play) -> None:
    for number in range(7):
        deployed(root, f"dev{number}", "dev", days=1 + number)
    for number in range(3):
        deployed(root, f"production{number}", "production", days=100 + number)
    deployed(root, "both", "production", "dev", days=200)
    deployed(root, "used", "production", days=300)
    for number in range(2):
        deployed(root, f"staging{number}", days=400)
    deployed(root, "ships", "dev", days=600)
    deployed(root, "incoming.left", days=1)
    deployed(root, "incoming.now", days=0)
    deployed(root, "works", "dev", days=500)
    # as deployer/desired.py has the command of a run
    command = [sys.executable, "-X", f"release={root}/releases/works/shop", "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as run:
        try:
            code, said = play(ANSIBLE / "tasks/releases.yml", flows_release="ships")
        finally:
            run.kill()
    assert code == 0, said
    assert {each.name for each in (root / "releases").iterdir()} == {
        *(f"dev{number}" for number in range(5)),
        *(f"production{number}" for number in range(3)),
        "both",
        "used",
        "incoming.now",
        "works",
        "ships",
    }


def test_a_target_goes_back_to_a_release_of_its_own(root: Path, play, tmp_path: Path) -> None:
    for release, targets, days in (
        ("r1", ("production",), 9),
        ("r2", ("production", "dev"), 8),
        ("r3", ("dev",), 7),
        ("r4", ("dev",), 6),
    ):
        deployed(root, release, *targets, days=days)
    wanted = tmp_path / "wanted"

    def back(target: str, release: str = "", registers: bool = True) -> str:
        code, said = play(ANSIBLE / "rollback.yml", target, release, flows_manifest=str(wanted))
        if code == 0 and registers:
            code, said = play(ANSIBLE / "registered.yml", target, flows_manifest=str(wanted))
        return wanted.read_text() if code == 0 else said

    assert back("production", registers=False) == manifest("r1", "production")
    assert back("production") == manifest("r1", "production"), "what was not registered is not the latest"
    assert back("production") == manifest("r2", "production"), "twice is where it was"
    assert back("dev") == manifest("r3", "dev")
    assert back("dev", release="r2") == manifest("r2", "dev")
    refused = back("production", release="r4")
    assert "there is no release r4 on localhost. It keeps, the last deployed first: r2, r1. Choose one" in refused
    assert "there is no previous release on localhost" in back("staging")


def test_a_host_that_knows_no_user_who_deploys_is_refused(play, tmp_path: Path) -> None:
    code, said = play(
        ANSIBLE / "rollback.yml", flows_manifest=str(tmp_path / "wanted"), platform_deploy_user="nobody-such"
    )
    assert code != 0
    assert "localhost has no user nobody-such, who owns the releases: make provision ENV=lab" in said


def test_who_may_not_install_packages_is_told_who_may(play) -> None:
    def look(*packages: str) -> tuple[int, str]:
        names = json.dumps({"flows_system_packages": packages})
        user = getpass.getuser()
        return play(ANSIBLE / "tasks/system_packages.yml", ansible_user=user, also=names)

    assert look("dpkg")[0] == 0
    code, said = look("dpkg", "no-such-package")
    assert code != 0
    assert "localhost lacks no-such-package of apt.txt" in said
    assert "`sudo apt-get install --no-install-recommends no-such-package`" in said


@pytest.fixture
def ship(play, tmp_path: Path) -> Callable[[str, str], tuple[int, str]]:
    """Ships a release for a target."""

    def ship(release: str, target: str) -> tuple[int, str]:
        code = tmp_path / f"code-{release}-{target}"
        code.mkdir(exist_ok=True)
        for number in range(300):
            (code / f"{number}.py").write_text(release)
        archive, wanted = tmp_path / f"{release}-{target}.tar", tmp_path / f"{release}-{target}.json"
        with tarfile.open(archive, "w") as tar:
            tar.add(code, ".")
        wanted.write_text(manifest(release, target))
        given = {"flows_release": release, "flows_archive": str(archive), "flows_manifest": str(wanted)}
        return play(ANSIBLE / "tasks/ship.yml", target, **given)

    return ship


def test_what_is_shipped_and_not_registered_is_not_deployed(root: Path, play, ship, tmp_path: Path) -> None:
    deployed(root, "r1", "lab", days=2)
    deployed(root, "r2", "lab", days=1)
    (root / "releases/r1/.manifest-lab.json").write_text(manifest("r1", "lab") + " ")
    os.utime(root / "releases/r1/.manifest-lab.json", (0, 86400))
    for release in ("r1", "r3"):
        code, said = ship(release, "lab")
        assert code == 0, said
    code, said = play(ANSIBLE / "rollback.yml", release="nothing", flows_manifest=str(tmp_path / "wanted"))
    assert "It keeps, the last deployed first: r2, r1. Choose one" in said
    play(ANSIBLE / "registered.yml", flows_manifest=str(tmp_path / "r3-lab.json"))
    code, said = play(ANSIBLE / "rollback.yml", release="nothing", flows_manifest=str(tmp_path / "wanted"))
    assert "It keeps, the last deployed first: r3, r2, r1. Choose one" in said


def test_two_that_ship_at_once_do_not_mix(root: Path, ship) -> None:
    with ThreadPoolExecutor() as together:
        done = list(together.map(ship, ("a", "b", "b"), ("lab", "dev", "lab")))
    assert [code for code, _ in done] == [0, 0, 0], done
    for release, targets in (("a", ["lab"]), ("b", ["dev", "lab"])):
        folder = root / "releases" / release
        assert {each.read_text() for each in folder.glob("*.py")} == {release}
        manifests = sorted(folder.glob(".manifest-*"))
        assert [each.read_text() for each in manifests] == [manifest(release, target) for target in targets]
    assert len(list((root / "releases").iterdir())) == 2
