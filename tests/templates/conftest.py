"""Every template of `nginx/` and `systemd/`, rendered by Ansible itself with the roles' own defaults."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from given import GIVEN, ROLES, ROOT, VARIANTS, read_yaml
from shared import made_once


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The text of every template by variant and by name, such as `nginx/prefect.conf`."""
    with made_once(tmp_path_factory, "rendered") as (scratch, empty):
        if empty:
            render(scratch)
    return {variant: texts(scratch / f"{variant}.json") for variant in VARIANTS}


def render(scratch: Path) -> None:
    """Have Ansible write the texts."""
    variables = {}
    for role in ROLES:
        variables |= read_yaml(role / "defaults/main.yml") | read_yaml(role / "vars/main.yml")
    variables |= GIVEN | {"rendered": str(scratch), "ansible_python_interpreter": sys.executable}
    inventory = scratch / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": VARIANTS, "vars": variables}}))
    run = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, Path(__file__).with_name("render.yml")],
        cwd=scratch,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_INVENTORY": str(inventory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def texts(variant: Path) -> dict[str, str]:
    """What render.yml has written of a variant."""
    of_path = json.loads(variant.read_text())
    return {str(Path(path).relative_to(ROOT).with_suffix("")): text for path, text in of_path.items()}
