"""YAML that remembers on which line each of its values stands."""

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from deployer.errors import Problem

# Where a value stands: ("deployments", 0, "schedules", 1, "cron")
Location = tuple[str | int, ...]


# What JSON has too, because all of it travels as JSON
_TYPES = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}
_KEYS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice (YAML silently keeps the last) and what JSON cannot hold, but for dates, which are left
    as the text they were written as.
    """

    yaml_constructors = {  # noqa: RUF012 - PyYAML's own attribute
        tag: construct for tag, construct in yaml.SafeLoader.yaml_constructors.items() if tag in {*_TYPES, None}
    }
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._seen: set[int] = set()
        # Otherwise a value could hold itself
        self.deep_construct = True

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node in self.recursive_objects:
            raise _wrong(node, "what an anchor names holds itself: take it out")
        value = super().construct_object(node, deep)
        if isinstance(value, float) and not math.isfinite(value):
            raise _wrong(node, f"{node.value} is no number of JSON: write null, or quote it")
        return value

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Once per node: after the first time it also holds the keys merged in by `<<`, which may be overridden
        if id(node) not in self._seen:
            self._seen.add(id(node))
            keys: set[Hashable] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise _wrong(key, "a key must be a text, not a mapping or a list")
                if key.tag not in _KEYS:
                    raise _wrong(key, f"the key {key.value} is not a text: quote it")
                if key.value in keys:
                    raise _wrong(key, f"the key {key.value!r} is given twice")
                keys.add(key.value)
        super().flatten_mapping(node)


def _wrong(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


class Document:
    """One YAML file: its `data`, and the `problem`s found in it."""

    def __init__(self, path: Path, shown: str) -> None:
        """Read `path`, which messages call `shown`. A file that cannot be read has `data` None and one problem."""
        self.shown = shown
        self.name = path.name
        self.data: Any = None
        self.problems: list[Problem] = []
        self._root: yaml.Node | None = None
        try:
            text = path.read_text(encoding="utf-8")
            loader = _Loader(text)
            self._root = loader.get_single_node()
            self.data = loader.construct_document(self._root) if self._root else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            unquoted = "{{" in "".join(text.splitlines()[line - 1 : line])
            hint = ": quote a template, '{{ … }}'" if unquoted else ""
            self.problems.append(Problem(shown, line, "", f"not valid YAML: {error.problem}{hint}"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            self.problems.append(Problem(shown, 1, "", f"cannot be read: {error}"))

    @classmethod
    def empty(cls, shown: str) -> "Document":
        """A file that is not there and need not be."""
        document = cls.__new__(cls)
        document.shown, document.name = shown, shown.rpartition("/")[2]
        document.data, document.problems, document._root = None, [], None
        return document

    def line(self, location: Location) -> int:
        """The line of the value at `location`, or of the nearest thing around it that exists."""
        node, line = self._root, 1
        for part in location:
            found = None
            if isinstance(node, yaml.MappingNode):
                # The last wins: keys merged in by `<<` stand before the mapping's own
                found = next(((k, v) for k, v in reversed(node.value) if k.value == str(part)), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = (node.value[part], node.value[part])
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return line

    def has(self, location: Location) -> bool:
        """Whether the file holds a value at `location`."""
        value = self.data
        for part in location:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return False
        return True

    def refused(self, location: Location) -> bool:
        """Whether a problem with the value at `location` is noted already."""
        return any(problem.field == _dotted(location) for problem in self.problems)

    def refuse(self, location: Location, message: str) -> None:
        """Note a problem with the value at `location`."""
        problem = Problem(self.shown, self.line(location), _dotted(location), message)
        if problem not in self.problems:
            self.problems.append(problem)


def _dotted(location: Location) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")
