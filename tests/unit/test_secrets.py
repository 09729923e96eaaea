"""`make secrets` makes a vault that is strong, encrypted, for its owner only, and kept."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def make_secrets(inventory):
    files = {
        "secrets_template": inventory / "group_vars/all/vault.yml.j2",
        "secrets_vault": inventory / "group_vars/all/vault.yml",
        "secrets_password": inventory / ".vault-password",
    }
    command = [BIN / "ansible-playbook", "-i", "localhost,", ROOT / "ansible" / "secrets.yml"]
    options = [f"--extra-vars={name}={path}" for name, path in files.items()]
    return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def vault(inventory):
    password = VaultSecret((inventory / ".vault-password").read_bytes().strip())
    encrypted = (inventory / "group_vars/all/vault.yml").read_bytes()
    return yaml.safe_load(VaultLib([("default", password)]).decrypt(encrypted))


@pytest.fixture(params=["lab", "example"])
def inventory(request, tmp_path):
    source = ROOT / "ansible" / "inventories" / request.param
    return shutil.copytree(source, tmp_path / "env", ignore=shutil.ignore_patterns(".vault-password", "vault.yml"))


def test_the_vault_is_strong_encrypted_and_kept(inventory):
    output = make_secrets(inventory)
    secrets = vault(inventory)
    made = [value for value in secrets.values() if value != "CHANGE_ME"]
    assert len(set(made)) == len(made), "each secret is its own"
    assert all(len(value) >= 32 for value in made)
    assert not any(value in output for value in made)
    file = inventory / "group_vars/all/vault.yml"
    assert file.read_text().startswith("$ANSIBLE_VAULT;")
    for path in (file, inventory / ".vault-password"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert "changed=0" in make_secrets(inventory)
    assert vault(inventory) == secrets


def test_a_vault_that_is_there_gets_what_a_newer_release_wants(inventory):
    make_secrets(inventory)
    before = vault(inventory)
    with (inventory / "group_vars/all/vault.yml.j2").open("a") as template:
        template.write("\nvault_new: {{ strong() if strong is defined else 'CHANGE_ME' }}\n")
    assert "changed=1" in make_secrets(inventory)
    after = vault(inventory)
    assert after.pop("vault_new")
    assert after == before
    assert "changed=0" in make_secrets(inventory)


def test_the_password_of_the_vault_changes_as_the_document_says(inventory):
    make_secrets(inventory)
    before, password = vault(inventory), (inventory / ".vault-password").read_text()
    section = (ROOT / "docs/operations.md").read_text().split("### Password of the vault")[1]
    commands = section.split("\ncd ansible/inventories/production\n")[1].split("```")[0]
    settings = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(inventory)}
    subprocess.run(["sh", "-ec", commands], cwd=inventory, env=settings, capture_output=True, check=True)
    assert vault(inventory) == before
    assert (inventory / ".vault-password").read_text() != password
    assert stat.S_IMODE((inventory / ".vault-password").stat().st_mode) == 0o600
