"""What Ansible prints when something fails: one line, and what to do."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def play(folder: Path, *tasks: dict) -> list[str]:
    """The lines that a play of two hosts prints about failures."""
    return [line for line in output(folder, *tasks).stderr.splitlines() if line.startswith("failed: ")]


def output(folder: Path, *tasks: dict) -> subprocess.CompletedProcess:
    """What a play of two hosts prints that fails."""
    plays = [{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": list(tasks)}]
    (folder / "play.yml").write_text(yaml.safe_dump(plays))
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "one,two,", folder / "play.yml"]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STRATEGY": "linear"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    return done


def test_what_is_the_same_on_all_hosts_is_told_once(tmp_path: Path) -> None:
    [line] = play(tmp_path, {"name": "Look", "ansible.builtin.fail": {"msg": "vault_x is a placeholder"}})
    assert line.endswith(": Look: vault_x is a placeholder")


def test_what_differs_is_told_for_each_host(tmp_path: Path) -> None:
    lines = play(tmp_path, {"name": "Look", "ansible.builtin.fail": {"msg": "{{ inventory_hostname }} is full"}})
    assert sorted(lines) == ["failed: one: Look: one is full", "failed: two: Look: two is full"]


def test_a_sudo_that_asks_for_a_password_says_where_to_put_it(tmp_path: Path) -> None:
    [line] = play(tmp_path, {"name": "Look", "ansible.builtin.fail": {"msg": "Missing sudo password"}})
    assert line.endswith(
        "Missing sudo password (put the password that sudo asks for into the vault, as ansible_become_password)"
    )


def test_a_task_that_waits_says_so_once(tmp_path: Path) -> None:
    wait = {"name": "Wait", "ansible.builtin.command": "false", "register": "it", "retries": 3, "delay": 0}
    done = output(tmp_path, wait | {"until": "it.rc == 0"})
    assert done.stdout.count("waiting: one: Wait\n") == 1
    assert "RETRYING" not in done.stdout
