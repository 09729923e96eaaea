"""The flow's secrets: an environment variable `SECRET_<NAME>` where there is one, else the Prefect Secret block."""

import json
import os

from prefect.blocks.system import Secret

from errors import LoadError


def secret(name: str, *keys: str) -> dict[str, str]:
    """The JSON object of this name, which must have these keys, each with a text. Its value is never shown."""
    variable = f"SECRET_{name.upper().replace('-', '_')}"
    value = os.environ.get(variable)
    if value is None:
        try:
            value = Secret.load(name, _sync=True).get()
        except ValueError:
            raise LoadError(f"no secret {name!r}: create the Prefect Secret block {name}, or set {variable}") from None
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) and value[key] for key in keys):
        raise LoadError(f"the secret {name!r} must be a JSON object with {', '.join(keys)}, each of them a text")
    return value
