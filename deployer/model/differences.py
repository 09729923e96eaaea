"""Differences between two JSON objects, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Absent(Enum):
    """What stands for a value that is not there; null is one that is."""

    ABSENT = "(none)"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Difference:
    """A field, dotted, and its old and new value; what is not there is ABSENT."""

    field: str
    old: Any
    new: Any


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    """The fields of `new` that differ in `old`; what only `old` has at the top is nobody's concern here.

    At the top stand Prefect's own fields, and one that is null is one that is not there. Beneath, the two are not the
    same: a parameter that is null takes the place of the flow's default.
    """
    found: list[Difference] = []
    for name, value in new.items():
        held = old.get(name, ABSENT)
        if not (value is None and held is ABSENT):
            found += _between(held, value, name)
    return found


def _between(old: Any, new: Any, path: str) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*new, *(name for name in old if name not in new)]:
            yield from _between(old.get(name, ABSENT), new.get(name, ABSENT), f"{path}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and any(isinstance(each, dict) for each in [*old, *new]):
        for number in range(max(len(old), len(new))):
            one, other = (each[number] if number < len(each) else ABSENT for each in (old, new))
            yield from _between(one, other, f"{path}[{number}]")
    elif not _same(old, new):
        yield Difference(path, old, new)


def _same(old: Any, new: Any) -> bool:
    """As JSON has it, where true is not 1."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    return old == new and isinstance(old, bool) == isinstance(new, bool)
