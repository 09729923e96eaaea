"""Differences between two JSON objects, field by field."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """A field, dotted, and its old and new value; what is not there is None."""

    field: str
    old: Any
    new: Any


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    """The fields of `new` that differ in `old`; what only `old` has at the top is nobody's concern here."""
    return [found for name, value in new.items() for found in _between(old.get(name), value, name)]


def _between(old: Any, new: Any, path: str) -> list[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*new, *(name for name in old if name not in new)]
        return [found for name in names for found in _between(old.get(name), new.get(name), f"{path}.{name}")]
    # True == 1 in Python, not in JSON
    same = old == new and isinstance(old, bool) == isinstance(new, bool)
    return [] if same else [Difference(path, old, new)]
