"""Differences between two JSON objects, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Absent(Enum):
    """Stands for a missing value; null is a value."""

    ABSENT = "(none)"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Difference:
    """A field, dotted, with its old and new value; a missing value is ABSENT."""

    field: str
    old: Any
    new: Any


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    """The fields of `new` that differ in `old`; fields that only `old` has at the top are ignored.

    Prefect's own fields stand at the top: there null and a missing field are the same. Beneath they are not: a
    parameter that is null takes the place of the flow's default.
    """
    changed: list[Difference] = []
    for name, value in new.items():
        old_value = old.get(name, ABSENT)
        if not (value is None and old_value is ABSENT):
            changed += _between(old_value, value, name)
    return changed


def _between(old: Any, new: Any, path: str) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*new, *(name for name in old if name not in new)]:
            yield from _between(old.get(name, ABSENT), new.get(name, ABSENT), f"{path}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and any(isinstance(item, dict) for item in [*old, *new]):
        for number in range(max(len(old), len(new))):
            old_item, new_item = (items[number] if number < len(items) else ABSENT for items in (old, new))
            yield from _between(old_item, new_item, f"{path}[{number}]")
    elif not _same(old, new):
        yield Difference(path, old, new)


def _same(old: Any, new: Any) -> bool:
    """As JSON compares them: true is not 1."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)
