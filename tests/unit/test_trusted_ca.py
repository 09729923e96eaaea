"""A certificate of one's own is checked for, copied, and trusted by the CA that the inventory names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TASKS = ROOT / "ansible/roles/proxy/tasks"
HERE = "{{ inventory_dir }}"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """The folder of an inventory with a certificate, its key, and a CA."""
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"one": {"ansible_connection": "local"}}}}))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "1", "-subj", "/CN=prefect.test"]
    files = ["-keyout", folder / "site.key", "-out", folder / "site.pem"]
    subprocess.run([*command, *files], check=True, capture_output=True)
    (folder / "ca.pem").write_bytes((folder / "site.pem").read_bytes())
    return folder


def play(inventory: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Play files of the role's tasks, which put things below the folder's parent."""
    variables = {
        "ansible_python_interpreter": sys.executable,
        "proxy_domain": "prefect.test",
        "proxy_tls_mode": "provided",
        "proxy_certificate": f"{HERE}/site.pem",
        "proxy_certificate_key": f"{HERE}/site.key",
        "proxy_certificate_ca": f"{HERE}/ca.pem",
    }
    paths = {
        "__proxy_tls_directory": f"{inventory.parent}/tls",
        "__proxy_trusted_ca": f"{inventory.parent}/trusted.crt",
    }
    whole = {
        "hosts": "all",
        "gather_facts": False,
        "vars_files": [str(ROOT / "ansible/roles/proxy/vars/main.yml")],
        "vars": variables,
        "handlers": [
            {"name": name, "ansible.builtin.debug": {"msg": name}}
            for name in ("Reload nginx", "Make the certificate store anew")
        ],
        "tasks": [{"ansible.builtin.include_tasks": str(TASKS / f"{name}.yml")} for name in names],
    }
    (inventory.parent / "play.yml").write_text(yaml.safe_dump([whole]))
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, inventory.parent / "play.yml"]
    options = [option for name, value in paths.items() for option in ("-e", f"{name}={value}")]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STRATEGY": "linear"}
    return subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_certificate_and_its_ca_beside_the_inventory(inventory: Path) -> None:
    done = play(inventory, "preflight", "provided", "trust")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (inventory.parent / "tls/provided.pem").read_bytes() == (inventory / "site.pem").read_bytes()
    assert (inventory.parent / "tls/provided.key").read_bytes() == (inventory / "site.key").read_bytes()
    assert (inventory.parent / "trusted.crt").read_bytes() == (inventory / "ca.pem").read_bytes()
    assert "Make the certificate store anew" in done.stdout


def test_a_ca_that_is_not_there(inventory: Path) -> None:
    (inventory / "ca.pem").unlink()
    done = play(inventory, "preflight")
    assert f"No file '{inventory}/ca.pem' on the control machine: set proxy_certificate" in done.stderr
