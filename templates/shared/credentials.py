"""Logins: from a Prefect Secret block, or from the environment when the flow runs alone."""

import json
import os
from typing import Any

from prefect.blocks.system import Secret


def secret(block: str, *keys: str) -> dict[str, Any]:
    """The JSON object of this block, which must have a text for each of these keys.

    The environment variable SECRET_<BLOCK NAME> takes precedence. Raises LookupError where the secret is missing or has
    another shape.
    """
    variable = "SECRET_" + block.replace("-", "_").upper()
    value: Any = os.environ.get(variable)
    if value is None:
        try:
            # Prefect's stubs lack _sync
            value = Secret.load(block, _sync=True).get()  # type: ignore[call-arg, union-attr]
        except ValueError:
            raise LookupError(f"no secret {block!r}: create the Prefect Secret block, or set {variable}") from None
    # never show the value, nor the parser's message about it
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) and value[key] for key in keys):
        raise LookupError(f"the secret {block!r} must be a JSON object with {', '.join(keys)}, each of them a text")
    return value
