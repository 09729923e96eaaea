"""A role stands alone: what it needs of others, the playbooks give it as variables."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).parents[2]
ANSIBLE = ROOT / "ansible"
ROLES = sorted(path for path in (ANSIBLE / "roles").iterdir() if (path / "tasks").is_dir())


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """The YAML files and templates of a folder, by their paths."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".yml", ".j2"}:
            yield str(path.relative_to(ROOT)), path.read_text()


def internal(role: Path) -> set[str]:
    """The internal variables that a role defines for all of its tasks."""
    file = role / "vars/main.yml"
    return set(yaml.safe_load(file.read_text()) or {}) if file.exists() else set()


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_nobody_else_reads_what_a_role_keeps_to_itself(role: Path) -> None:
    prefix = re.compile(rf"\b__{role.name}_\w+")
    longer = tuple(f"__{other.name}_" for other in ROLES if other.name.startswith(f"{role.name}_"))
    others = {
        path: {name for name in prefix.findall(text) if not name.startswith(longer)}
        for path, text in texts(ANSIBLE)
        if not path.startswith(f"ansible/roles/{role.name}/")
    }
    assert {path: names for path, names in others.items() if names} == {}
    assert all(name.startswith(f"__{role.name}_") for name in internal(role))


def test_no_playbook_loads_a_file_of_a_role() -> None:
    loads = re.compile(r"(?m)^[^#]*\broles/\w+/(vars|handlers|tasks)/")
    assert [path for path, text in texts(ANSIBLE) if loads.search(text)] == []


@pytest.mark.parametrize("folder", ["roles", "tasks"])
def test_what_you_type_is_read_by_playbooks_alone(folder: str) -> None:
    assert [path for path, text in texts(ANSIBLE / folder) if "ansible.builtin.env'" in text] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_main_is_a_table_of_contents(role: Path) -> None:
    assert len((role / "tasks/main.yml").read_text().splitlines()) <= 60


def test_the_proxy_follows_the_port_of_the_server() -> None:
    init_plugin_loader()
    variables = yaml.safe_load((ANSIBLE / "group_vars/all.yml").read_text())
    [upstream] = yaml.safe_load((ANSIBLE / "roles/proxy/defaults/main.yml").read_text())["proxy_upstream"]
    names = {"platform_server_address": trust_as_template(variables["platform_server_address"])}
    templar = Templar(DataLoader(), variables=names | {"prefect_server_port": 4300})
    assert templar.template(trust_as_template(upstream)) == "127.0.0.1:4300"
