"""Find the known name that a misspelt name stands for."""

from __future__ import annotations

from difflib import get_close_matches

DOCUMENTATION = """
name: closest
short_description: The known name that is most like another name
description: Empty if none of the known names is like it.
positional: known
options:
  _input:
    description: The name to look for.
    type: str
    required: true
  known:
    description: The names to choose from.
    type: list
    elements: str
    required: true
"""


class FilterModule:
    def filters(self) -> dict[str, object]:
        """The filters of this file, by name."""
        return {"closest": closest}


def closest(name: str, known: list[str]) -> str:
    """The known name that is most like `name`, or an empty text."""
    return "".join(get_close_matches(name, known, n=1))
