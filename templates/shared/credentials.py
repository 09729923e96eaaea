"""Logins: from a Prefect Secret block, or from the environment when the flow runs alone."""

import json
import os

from prefect.blocks.system import Secret


def secret(block: str, *keys: str) -> dict:
    """The JSON object of this block, with a text for each of these keys. SECRET_<BLOCK NAME>, where set, goes first."""
    variable = "SECRET_" + block.replace("-", "_").upper()
    value = os.environ.get(variable)
    if value is None:
        try:
            value = Secret.load(block, _sync=True).get()
        except ValueError:
            raise LookupError(f"no secret {block!r}: create the Prefect Secret block, or set {variable}") from None
    # never show the value, nor the parser's view of it
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) and value[key] for key in keys):
        raise LookupError(f"the secret {block!r} must be a JSON object with {', '.join(keys)}, each of them a text")
    return value
