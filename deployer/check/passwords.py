"""Passwords in plain text: found where they stand, never shown."""

import re
from collections.abc import Iterator
from typing import Any

from deployer.files.document import Location

# A value in braces, or after a $, is filled in later
_VALUE = r"[^\s{}$&;,@'\"]"
_TEXTS = re.compile(
    rf"://[^/?#\s:@]*:[^/?#\s{{}}$@]+@|\b(?:password|passwd|pwd)={_VALUE}|[?&](?:sig|token|api_?key|access_?key)={_VALUE}",
    re.IGNORECASE,
)
_NAMES = re.compile(r"(?:^|_|-)(?:password|passwd|pwd|passphrase|api_?key|access_?token|private_?key)$", re.IGNORECASE)


def passwords(value: Any, at: Location = ()) -> Iterator[Location]:
    """Where in `value` a text looks like a password, or like an address that holds one."""
    if isinstance(value, str):
        named = bool(at) and isinstance(at[-1], str) and _NAMES.search(at[-1])
        if _TEXTS.search(value) or (named and value and not set("{}$") & set(value)):
            yield at
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from passwords(inner, (*at, key))
