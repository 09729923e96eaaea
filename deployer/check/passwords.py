"""Passwords in plain text: their places are reported, they are never shown."""

import re
from collections.abc import Iterator
from typing import Any

from deployer.files.document import Document
from deployer.files.resources_yml import ResourcesFile
from deployer.model.errors import Location
from deployer.server.kinds.variables import Variables

PLAIN_TEXT = (
    "looks like a password, which all who open the UI can read: keep it in the vault, and name it in resources.yml"
)
# A value in braces, or after a $, is a placeholder
_VALUE = r"[^\s{}$&;,@'\"]"
_TEXTS = re.compile(
    rf"://[^/?#\s:@]*:[^/?#\s{{}}$@]+@|\b(?:password|passwd|pwd)={_VALUE}|[?&](?:sig|token|api_?key|access_?key)={_VALUE}",
    re.IGNORECASE,
)
_NAMES = re.compile(r"(?:^|_|-)(?:password|passwd|pwd|passphrase|api_?key|access_?token|private_?key)$", re.IGNORECASE)


def password_places(value: Any, at: Location = ()) -> Iterator[Location]:
    """The places in `value` of texts that look like a password, or like an address that holds one."""
    if isinstance(value, str):
        named = bool(at) and isinstance(at[-1], str) and _NAMES.search(at[-1])
        if _TEXTS.search(value) or (named and value and not set("{}$") & set(value)):
            yield at
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from password_places(item, (*at, key))


def warn_of_passwords(document: Document, at: Location, value: Any) -> None:
    """Add a warning for every password in the value at `at`."""
    for where in password_places(value):
        document.add_warning((*at, *where), PLAIN_TEXT)


def warn_of_variables(resources: ResourcesFile) -> None:
    """Add a warning for every variable that holds a password, by its name or its value."""
    for at, resource in resources.resources.items():
        if resource.kind == Variables.title:
            for where in password_places({resource.name: resource.fields["value"]}):
                resources.document.add_warning((*at, "value", *where[1:]), PLAIN_TEXT)
