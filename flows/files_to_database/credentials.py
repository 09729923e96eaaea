"""The flow's secrets: the environment variable `SECRET_<NAME>` if it is set, else the Prefect Secret block."""

import json
import os
from typing import Any

from prefect.blocks.system import Secret

from errors import LoadError


def secret(name: str, *keys: str) -> dict[str, str]:
    """The secret, a JSON object that must have a text for each of these keys. Errors never show its value.

    Raises LoadError where the secret is missing or has another shape.
    """
    variable = f"SECRET_{name.upper().replace('-', '_')}"
    value: Any = os.environ.get(variable)
    if value is None:
        try:
            # Prefect's stubs lack _sync
            value = Secret.load(name, _sync=True).get()  # type: ignore[call-arg, union-attr]
        except ValueError:
            raise LoadError(f"no secret {name!r}: create the Prefect Secret block {name}, or set {variable}") from None
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) and value[key] for key in keys):
        raise LoadError(f"the secret {name!r} must be a JSON object with {', '.join(keys)}, each of them a text")
    return value
