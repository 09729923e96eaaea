"""Logins of the databases: from a Prefect Secret block, or from the environment when run alone."""

import json
import os
from typing import Any

from prefect.blocks.system import Secret

from errors import StepError


def login(block: str) -> tuple[str, str]:
    """User and password from the Secret block; the environment variable SECRET_<BLOCK NAME> takes precedence.

    Raises StepError where the secret is missing or has another shape.
    """
    variable = "SECRET_" + block.replace("-", "_").upper()
    secret: Any = os.environ.get(variable)
    if secret is None:
        try:
            # Prefect's stubs lack _sync
            secret = Secret.load(block, _sync=True).get()  # type: ignore[call-arg, union-attr]
        except ValueError:
            raise StepError(
                f"the Prefect Secret block {block!r} (or the environment variable {variable}) does not exist; "
                'create it with {"user": …, "password": …}'
            ) from None
    # never show the value, nor the parser's message about it
    try:
        value = json.loads(secret) if isinstance(secret, str) else secret
        user, password = value["user"], value["password"]
    except (ValueError, TypeError, KeyError):
        user = password = None
    # libpq ends a text at NUL
    if not all(isinstance(text, str) and text and "\0" not in text for text in (user, password)):
        raise StepError(f"the secret {block!r} must be a JSON object with user and password, each of them a text")
    return user, password
