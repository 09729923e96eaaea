"""A command that a message names is for the environment at hand: typed as it stands, it would be for the lab."""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import ROOT, foreign

PLAYS = [*ROOT.glob("ansible/*.yml"), *ROOT.glob("ansible/tasks/**/*.yml"), *ROOT.glob("ansible/roles/*/tasks/*.yml")]
PROGRAMS = [
    ROOT / "deploy.py",
    *ROOT.glob("deployer/**/*.py"),
    *ROOT.glob("status/*.py"),
    *ROOT.glob("ansible/files/*.py"),
    *ROOT.glob("host/*.py"),
]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def values(tree: Any) -> Iterator[str]:
    """All texts of a YAML file but the names of tasks, which nobody is told."""
    match tree:
        case dict():
            yield from chain.from_iterable(values(value) for key, value in tree.items() if key != "name")
        case list():
            yield from chain.from_iterable(map(values, tree))
        case str():
            yield tree


def texts(source: str) -> Iterator[str]:
    """All strings of a program but its docstrings."""
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield ast.unparse(node).replace("{ENVIRONMENT}", " ENV=lab")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | docstrings:
            yield node.value


@pytest.mark.parametrize("path", PLAYS, ids=name)
def test_in_plays(path: Path) -> None:
    assert [wrong for text in values(yaml.safe_load(path.read_text())) for wrong in foreign(text, "")] == []


@pytest.mark.parametrize("path", PROGRAMS, ids=name)
def test_in_programs(path: Path) -> None:
    assert [wrong for text in texts(path.read_text()) for wrong in foreign(text, "")] == []


def test_in_the_makefile() -> None:
    told = re.findall(r'echo "(.*?)"[;} ]', (ROOT / "Makefile").read_text())
    assert any("make logs" in text for text in told)
    # A lab is one by its name; the list of commands is for all environments.
    assert {wrong for text in told for wrong in foreign(text, "$(ENV)")} <= {
        "make down",
        "make up",
        "make test-faults FAULTS=$(name)",
    }
