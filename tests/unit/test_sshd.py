"""sshd takes no passwords where Ansible signs in by a key, and still takes them where it does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BASE = ROOT / "ansible/roles/base"
CLOSED = {"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password"}


def written(folder: Path, **variables: str) -> list[str]:
    """What the role's own task writes for sshd."""
    [task] = yaml.safe_load((BASE / "tasks/ssh.yml").read_text())
    copy = {"dest": str(folder / "sshd.conf"), "content": task["ansible.builtin.copy"]["content"]}
    whole = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": variables | {"ansible_python_interpreter": sys.executable},
        "vars_files": [str(BASE / "vars/main.yml")],
        "tasks": [{"ansible.builtin.copy": copy}],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([whole]))
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", folder / "play.yml"]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STRATEGY": "linear"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "sshd.conf").read_text().splitlines()


def test_by_a_key(tmp_path: Path) -> None:
    assert set(written(tmp_path)) > CLOSED


@pytest.mark.parametrize("name", ["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])
def test_by_a_password_nobody_is_locked_out(tmp_path: Path, name: str) -> None:
    lines = written(tmp_path, **{name: "any"})
    assert "MaxAuthTries 3" in lines
    assert not CLOSED & set(lines)
