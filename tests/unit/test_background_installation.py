"""An environment counts as complete when its packages are installed, also if the job in the background is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: {complete}
"""


@pytest.mark.parametrize("strategy", ["linear", "mitogen_linear"])
def test_a_lost_job_is_done_again(tmp_path: Path, strategy: str) -> None:
    environment = tmp_path / "worker-1"
    environment.mkdir()
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "__prefect_environment": "worker-1",
        "__prefect_path": str(environment),
        "__prefect_install_environment": {},
        "__prefect_jobs": {
            "worker-1": {
                "id": "1.lost-at-a-reboot",
                "command": ["touch", str(environment / "installed")],
            }
        },
    }
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    (tmp_path / "play.yml").write_text(PLAY.format(complete=ROOT / "ansible/roles/prefect/tasks/complete.yml"))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-e", "@variables.json", "play.yml"],
        cwd=tmp_path,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STRATEGY": strategy},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in environment.iterdir()) == [".complete", "installed"]
