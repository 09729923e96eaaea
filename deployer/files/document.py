"""YAML that remembers on which line each of its values stands."""

import math
import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from deployer.model.errors import Problem

# Where a value stands: ("deployments", 0, "schedules", 1, "cron")
Location = tuple[str | int, ...]


# What JSON has too, because all of it travels as JSON
_TYPES = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}
_KEYS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}
# What aliases may make of a file, about as many characters as it would have as JSON, and how deep its values may stand
SIZE, DEPTH = 10_000_000, 100
# What a value takes beside its text: quotes, a comma, an indentation
_AROUND = 10
# PostgreSQL stores no NUL, and half a character cannot be sent
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


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
        # Of every node that is read to its end: its size and its height, aliases written out
        self._extents: dict[yaml.Node, tuple[int, int]] = {}
        self._depth = 0
        # Otherwise a value could hold itself
        self.deep_construct = True

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event = self.peek_event()
        self._depth += 1
        if self._depth > DEPTH:
            raise _wrong(event, _TOO_DEEP)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._extents[node] = self._extent(node)
        elif node not in self._extents:
            raise _wrong(event, "what an anchor names holds itself: take it out")
        return node

    def _extent(self, node: yaml.Node) -> tuple[int, int]:
        """A node's size and height. Every alias counts as what it stands for, as it does for all who read the file."""
        if isinstance(node, yaml.ScalarNode):
            if _UNSTORABLE.search(node.value):
                raise _wrong(node, "a text holds a NUL or half a character, which no server stores: take it out")
            return _AROUND + len(node.value), 1
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        size = _AROUND + sum(self._extents[part][0] for part in inner)
        height = 1 + max((self._extents[part][1] for part in inner), default=0)
        if size > SIZE:
            raise _wrong(
                node, f"with its aliases written out it holds more than {SIZE:,} characters: use fewer of them"
            )
        if height > DEPTH:
            raise _wrong(node, _TOO_DEEP)
        return size, height

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
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
                if key.value in keys and key.value == "<<":
                    raise _wrong(key, "`<<` is given twice: write one, with a list, such as <<: [*a, *b]")
                if key.value in keys:
                    raise _wrong(key, f"the key {key.value!r} is given twice")
                keys.add(key.value)
        super().flatten_mapping(node)


_TOO_DEEP = f"its values stand more than {DEPTH} levels deep: write it flatter"


def unstorable(value: Any) -> bool:
    """Whether a text in it is none that a server can store."""
    return any(_UNSTORABLE.search(text) for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for part in pair for text in _texts(part))
    elif isinstance(value, list):
        yield from (text for part in value for text in _texts(part))


def _wrong(node: yaml.Node | yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


class Document:
    """One YAML file: its `data`, the `problems` found in it, and the `warnings`: what works, and is no good idea."""

    def __init__(self, path: Path, shown: str) -> None:
        """Read `path`, which messages call `shown`. A file that cannot be read has `data` None and one problem."""
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
        """A file that is not there and need not be."""
        document = cls.__new__(cls)
        document.shown, document.name = shown, shown.rpartition("/")[2]
        document.data, document.problems, document.warnings, document._root = None, [], [], None
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

    def refused(self, location: Location) -> bool:
        """Whether a problem with the value at `location` is noted already."""
        return any(problem.field == _dotted(location) for problem in self.problems)

    def refuse(self, location: Location, message: str) -> None:
        """Note a problem with the value at `location`."""
        problem = Problem(self.shown, self.line(location), _dotted(location), message)
        if problem not in self.problems:
            self.problems.append(problem)

    def warn(self, location: Location, message: str) -> None:
        """Note what should be otherwise in the value at `location`."""
        self.warnings.append(Problem(self.shown, self.line(location), _dotted(location), message))


def _dotted(location: Location) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")
