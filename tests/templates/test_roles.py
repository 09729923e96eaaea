"""What the documentation of a role says is what its defaults do."""

from pathlib import Path

import pytest
from given import ROLES, read_yaml

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def options_of(role: Path) -> dict:
    """The public variables of a role, as its argument specification has them."""
    return read_yaml(role / "meta/argument_specs.yml").get("argument_specs", {}).get("main", {}).get("options", {})


@each_role
def test_the_defaults_are_those_of_the_specification(role: Path) -> None:
    specified = {name: option.get("default") for name, option in options_of(role).items() if not option.get("required")}
    assert specified == read_yaml(role / "defaults/main.yml")


@each_role
def test_every_variable_is_described_typed_and_named_after_its_role(role: Path) -> None:
    for name, option in options_of(role).items():
        assert option.get("description"), f"{name} has no description"
        assert option.get("type"), f"{name} has no type"
        assert option["type"] != "list" or option.get("elements"), f"{name} does not say what its elements are"
        assert name.startswith(f"{role.name}_"), f"{name} does not begin with {role.name}_"


@each_role
def test_what_is_internal_looks_so(role: Path) -> None:
    for name in read_yaml(role / "vars/main.yml"):
        assert name.startswith(f"__{role.name}_"), f"{name} in vars/ does not begin with __{role.name}_"
