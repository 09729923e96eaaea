"""The roles' own variables: a name that nobody defines would be taken for its default, in silence."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
# Not a file of Python, as __main__.py
NAME = re.compile(r"\b__[a-z][a-z0-9_]*\b(?!\.py\b)")


def files() -> Iterator[Path]:
    """All that Ansible reads of ours."""
    for pattern in ("ansible/**/*.yml", "compose/**/*.yml", "**/*.j2"):
        yield from (path for path in ROOT.glob(pattern) if not {".cache", ".venv", ".lab"} & set(path.parts))


def defined(node: object) -> Iterator[str]:
    """What a YAML document defines: variables, what tasks register, and the variables of loops."""
    if isinstance(node, list):
        for item in node:
            yield from defined(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            if key in ("register", "loop_var", "index_var"):
                yield str(value)
            yield from defined(value)


def test_every_variable_that_is_read_is_defined() -> None:
    names, read = set(), {}
    for path in files():
        text = path.read_text()
        if path.suffix == ".yml":
            names |= {name for document in yaml.load_all(text, Loader=Loader) for name in defined(document)}
        for block in re.findall(r"{%-? *(?:set|for) (.*?)(?:=| in )", text):
            names |= set(NAME.findall(block))
        read |= dict.fromkeys(NAME.findall(text), path.relative_to(ROOT))
    assert {name: path for name, path in read.items() if name not in names} == {}


class Loader(yaml.SafeLoader):
    """Reads the tags of Ansible as what they stand before."""


Loader.add_multi_constructor("!", lambda loader, _suffix, node: loader.construct_scalar(node))
