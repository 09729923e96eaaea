"""What the inventory of an environment says is what the commands use, or the name of what is wrong in it is told."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from deployer.files import inventory
from deployer.model.errors import DeployError
from deployer.server.kinds.blocks import NotificationBlocks, SecretBlocks

ROOT = Path(__file__).parents[2]
PASSWORD = "of the vault"
DOMAIN = "prefect.test"
MINIMUM = {"proxy_domain": DOMAIN, "prefect_server_password": "0123456789abcdef"}
HERE = "{{ inventory_dir }}"

Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an inventory: one host that nobody can reach, and a CA beside it."""
    folder = tmp_path / "production"
    (folder / "group_vars/all").mkdir(parents=True)
    host = {"hosts": {"one": None}}
    groups = dict.fromkeys(("database", "server", "worker", "proxy"), host)
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": host | {"children": groups}}))
    (folder / "ca.pem").write_text("the CA")
    (folder / ".vault-password").write_text(PASSWORD)
    vault = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
    (folder / "group_vars/all/vault.yml").write_bytes(vault.encrypt("{}"))
    return folder


@pytest.fixture
def make(folder: Path) -> Make:
    """Run make for it, with what its inventory sets."""

    def make(*arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        (folder / "group_vars/all/main.yml").write_text(yaml.safe_dump(MINIMUM | variables))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        paths = [f"inventory={os.path.relpath(folder, ROOT)}", f"STATE_DIR={folder}.state"]
        command = ["make", "--assume-old=.venv/.complete", f"ENV={folder.name}", *paths, *arguments]
        return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)

    return make


@pytest.mark.parametrize(
    "variables",
    [
        {"prefect_api_ca": f"{HERE}/ca.pem"},
        {"proxy_tls_mode": "provided", "proxy_certificate_ca": f"{HERE}/ca.pem"},
        {"proxy_tls_mode": "self_signed", "prefect_api_ca": f"{HERE}/ca.pem"},
    ],
)
def test_a_ca_beside_the_inventory_checks_the_api(make: Make, folder: Path, variables: dict) -> None:
    done = make("env", **variables)
    assert f"export PREFECT_API_SSL_CERT_FILE={folder}/ca.pem\n" in done.stdout, done.stdout + done.stderr


def test_without_a_ca_those_of_the_system_check_the_api(make: Make) -> None:
    assert "export PREFECT_API_SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n" in make("env").stdout


@pytest.mark.parametrize("name", ["prefect_api_ca", "proxy_certificate_ca"])
def test_a_ca_that_is_not_there_is_told_by_the_variable_that_names_it(make: Make, folder: Path, name: str) -> None:
    done = make("env", **{"proxy_tls_mode": "provided", name: f"{HERE}/none.pem"})
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert f"No file '{folder}/none.pem' on the control machine" in line
    assert f"""set {name} in {folder} to the whole path of a PEM file, such as "{HERE}/ca.pem".""" in line


@pytest.mark.parametrize(
    "variables",
    [
        {"prefect_api_ca": "{{ misspelt }}/ca.pem"},
        {"prefect_api_url": "{{ misspelt }}"},
        {"prefect_server_admin": "{{ misspelt }}"},
        {"proxy_tls_mode": "provided", "proxy_certificate_ca": "{{ misspelt }}/ca.pem"},
        {"proxy_tls_mode": "{{ misspelt }}"},
    ],
)
def test_no_default_takes_the_place_of_what_is_misspelt(make: Make, variables: dict) -> None:
    done = make("env", **variables)
    assert done.returncode != 0
    assert "'misspelt' is undefined" in done.stderr


@pytest.fixture
def read(make: Make, tmp_path: Path) -> Callable[..., inventory.Inventory]:
    """What deploy.py gets to know, by the Makefile's own command."""

    def read(**variables: object) -> inventory.Inventory:
        done = make("--silent", "--eval=.facts: ; @cat $(facts)", ".facts", **variables)
        assert done.returncode == 0, done.stderr
        (tmp_path / "inventory.json").write_text(done.stdout)
        return inventory.read_inventory(str(tmp_path / "inventory.json"))

    return read


def test_secrets_and_addresses_reach_deploy(read, folder: Path) -> None:
    known = read(
        prefect_flow_secrets={"key": "{{ lookup('ansible.builtin.file', inventory_dir ~ '/ca.pem') }}"},
        prefect_notifications={"ops": "mailto://ops"},
        prefect_worker_pools=[{"name": "heavy"}],
    )
    assert known.blocks == {SecretBlocks.title: {"key": "the CA"}, NotificationBlocks.title: {"ops": "mailto://ops"}}
    assert known.work_pools == ["heavy"]
    assert read() == inventory.Inventory(["default"], {SecretBlocks.title: {}, NotificationBlocks.title: {}})


@pytest.mark.parametrize(
    "variables",
    [
        {"prefect_flow_secrets": "{{ vault_secrets }}"},
        {"prefect_flow_secrets": {"key": {"inner": "{{ vault_secrets }}"}}},
        {"prefect_notifications": "{{ vault_secrets }}"},
        {"prefect_worker_pools": "{{ vault_secrets }}"},
    ],
)
def test_a_map_that_is_missing_in_the_vault_is_refused_by_its_name(read, variables: dict) -> None:
    with pytest.raises(DeployError, match=re.escape("'vault_secrets' is undefined: correct it in group_vars/all")):
        read(**variables)
