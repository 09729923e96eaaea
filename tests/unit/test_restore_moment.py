"""A moment to restore to is read in the host's time zone, and told in UTC."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[2] / "ansible/roles/backup"
PLAY = f"""
- hosts: localhost
  gather_facts: false
  vars:
    backup_restore_time: "{{{{ lookup('ansible.builtin.env', 'TIME') }}}}"
  tasks:
    - ansible.builtin.import_tasks: {ROLE}/tasks/restore_moment.yml
    - ansible.builtin.copy:
        dest: "{{{{ playbook_dir }}}}/target.json"
        content: "{{{{ backup_target | to_json }}}}"
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], dict | str]:
    """What is made of TIME on a host in Tokyo: the target, or the refusal."""

    def read(time: str) -> dict | str:
        (tmp_path / "play.yml").write_text(PLAY)
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local"]
        done = subprocess.run(
            [*command, tmp_path / "play.yml"],
            env=os.environ | {"TIME": time, "TZ": "Asia/Tokyo"},
            capture_output=True,
            text=True,
            check=False,
        )
        target = tmp_path / "target.json"
        return json.loads(target.read_text()) if done.returncode == 0 else done.stdout + done.stderr

    return read


@pytest.mark.parametrize(
    ("time", "text", "epoch"),
    [
        ("2026-11-20 14:00:00", "2026-11-20 05:00:00+00", 1795150800),
        ("2026-11-20 14:00:00+00", "2026-11-20 14:00:00+00", 1795183200),
        ("", "the last moment that is backed up", 0),
    ],
    ids=["without an offset", "with an offset", "none"],
)
def test_a_moment_is_read_where_the_host_is(read: Callable, time: str, text: str, epoch: int) -> None:
    target = read(time)
    assert (target["text"], int(target["epoch"])) == (text, epoch)


def test_what_is_no_moment_is_refused(read: Callable) -> None:
    assert "TIME=soon is not a valid time: write it like TIME='2026-11-20 14:00:00+00'." in read("soon")
