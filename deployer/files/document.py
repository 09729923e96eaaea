"""YAML files whose values know their line."""

import math
import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from deployer.model.errors import Location, Problem

# The types that JSON has too, because all values travel as JSON
_TYPES = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}
_KEYS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}
# With its aliases written out, a file may have about so many characters as JSON, and values so many levels deep
MAX_SIZE, MAX_DEPTH = 10_000_000, 100
# Characters of a value beside its text: quotes, a comma, an indentation
_OVERHEAD = 10
# PostgreSQL stores no NUL, and half a character cannot be sent
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """Raises an error for a duplicate key (YAML silently keeps the last) and for values that JSON lacks.

    Dates stay the text they were written as.
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
        self._flattened: set[int] = set()
        # The size and height of every node read so far, aliases written out
        self._extents: dict[yaml.Node, tuple[int, int]] = {}
        self._depth = 0
        # Otherwise a value could hold itself
        self.deep_construct = True

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _error(event, _TOO_DEEP)
        node = cast(yaml.Node, super().compose_node(parent, index))
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._extents[node] = self._extent(node)
        elif node not in self._extents:
            raise _error(event, "this anchor contains itself: remove the cycle")
        return node

    def _extent(self, node: yaml.Node) -> tuple[int, int]:
        """A node's size and height. An alias counts as the value it names."""
        if isinstance(node, yaml.ScalarNode):
            if _UNSTORABLE.search(node.value):
                raise _error(node, "a text holds a NUL or half a character, which no server stores: take it out")
            return _OVERHEAD + len(node.value), 1
        children = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        size = _OVERHEAD + sum(self._extents[part][0] for part in children)
        height = 1 + max((self._extents[part][1] for part in children), default=0)
        if size > MAX_SIZE:
            raise _error(
                node, f"with its aliases written out it holds more than {MAX_SIZE:,} characters: use fewer of them"
            )
        if height > MAX_DEPTH:
            raise _error(node, _TOO_DEEP)
        return size, height

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        value = super().construct_object(node, deep)
        if isinstance(value, float) and not math.isfinite(value):
            raise _error(node, f"{node.value} is not valid JSON: write null, or quote it")
        return value

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Once per node: after the first time it also holds the keys merged in by `<<`, which may be overridden
        if id(node) not in self._flattened:
            self._flattened.add(id(node))
            keys: set[Hashable] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise _error(key, "a key must be a text, not a mapping or a list")
                if key.tag not in _KEYS:
                    raise _error(key, f"the key {key.value} is not a text: quote it")
                if key.value in keys and key.value == "<<":
                    raise _error(key, "`<<` is given twice: write one, with a list, such as <<: [*a, *b]")
                if key.value in keys:
                    raise _error(key, f"the key {key.value!r} is given twice")
                keys.add(key.value)
        super().flatten_mapping(node)


_TOO_DEEP = f"its values stand more than {MAX_DEPTH} levels deep: write it flatter"


def is_unstorable(value: Any) -> bool:
    """Whether a text in the value is one that no server can store."""
    return any(_UNSTORABLE.search(text) for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for part in pair for text in _texts(part))
    elif isinstance(value, list):
        yield from (text for part in value for text in _texts(part))


def _error(node: yaml.Node | yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=cast(yaml.Mark, node.start_mark))


class Document:
    """One YAML file: its `data`, its `problems`, and its `warnings` of values that work but should change."""

    def __init__(self, path: Path, shown: str) -> None:
        """Read `path`, called `shown` in messages. An unreadable file has `data` None and one problem."""
        self.shown = shown
        self.name = path.name
        self.data: Any = None
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
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
        """A file that does not exist and is optional."""
        document = cls.__new__(cls)
        document.shown, document.name = shown, shown.rpartition("/")[2]
        document.data, document.problems, document.warnings, document._root = None, [], [], None
        return document

    def line(self, location: Location) -> int:
        """The line of the value at `location`, or of the nearest value around it."""
        node, line = self._root, 1
        for part in location:
            key_and_value = None
            if isinstance(node, yaml.MappingNode):
                # The last wins: keys merged in by `<<` stand before the mapping's own
                key_and_value = next(((k, v) for k, v in reversed(node.value) if k.value == str(part)), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                key_and_value = (node.value[part], node.value[part])
            if key_and_value is None:
                break
            line, node = key_and_value[0].start_mark.line + 1, key_and_value[1]
        return line

    def value(self, location: Location) -> Any:
        """The value at `location`. Raises KeyError, IndexError or TypeError if there is none."""
        value = self.data
        for part in location:
            value = value[part]
        return value

    def has(self, location: Location) -> bool:
        """Whether the file holds a value at `location`."""
        try:
            self.value(location)
        except (KeyError, IndexError, TypeError):
            return False
        return True

    def has_problem_at(self, location: Location) -> bool:
        """Whether the value at `location` has a problem already."""
        return any(problem.field == _dotted(location) for problem in self.problems)

    def add_problem(self, location: Location, message: str) -> None:
        """Note a problem of the value at `location`, once."""
        problem = Problem(self.shown, self.line(location), _dotted(location), message)
        if problem not in self.problems:
            self.problems.append(problem)

    def add_warning(self, location: Location, message: str) -> None:
        """Note what should change in the value at `location`."""
        self.warnings.append(Problem(self.shown, self.line(location), _dotted(location), message))


def _dotted(location: Location) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")
