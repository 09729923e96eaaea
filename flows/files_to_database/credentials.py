"""The flow's secrets: an environment variable `SECRET_<NAME>` where there is one, else the Prefect Secret block."""

import json
import os

from prefect.blocks.system import Secret

from errors import LoadError


def secret(name: str, *keys: str) -> dict[str, str]:
    """The JSON object of this name, which must have these keys. Nothing of its value is ever shown."""
    variable = f"SECRET_{name.upper().replace('-', '_')}"
    value = os.environ.get(variable)
    if value is None:
        try:
            value = Secret.load(name, _sync=True).get()
        except ValueError:
            raise LoadError(f"no secret {name!r}: create the Prefect Secret block {name}, or set {variable}") from None
    try:
        value = json.loads(value) if isinstance(value, str) else value
        return {key: value[key] for key in keys} | value
    except (ValueError, TypeError, KeyError):
        raise LoadError(f"the secret {name!r} must be a JSON object with {', '.join(keys)}") from None
