"""Logins of the databases: from a Prefect Secret block, or from the environment when run alone."""

import json
import os
from typing import Any

from prefect.blocks.system import Secret


def block_name(secret_path: str) -> str:
    """`/source/my_db` → `source-my-db`: names of blocks have neither slashes nor underscores."""
    return secret_path.strip("/").replace("/", "-").replace("_", "-").lower()


def database_login(infisical_secret_path: str) -> tuple[str, str]:
    """User and password. Raises LookupError where the secret does not have them."""
    login = _secret("infisical_secret_path", infisical_secret_path, "user and password")
    user, password = login.get("user"), login.get("password")
    if not (isinstance(user, str) and user and isinstance(password, str) and password):
        raise _unusable("infisical_secret_path", infisical_secret_path, "user and password, each of them a text")
    return user, password


def target_arguments(target_secret_path: str) -> dict[str, Any]:
    """The arguments of the target's own driver."""
    return _secret("target_secret_path", target_secret_path, "the target's connection arguments")


def _secret(parameter: str, path: str, content: str) -> dict[str, Any]:
    """The secret's JSON object; the environment variable SECRET_<BLOCK NAME> takes precedence over the block."""
    block = block_name(path)
    variable = "SECRET_" + block.replace("-", "_").upper()
    secret: Any = os.environ.get(variable)
    if secret is None:
        try:
            # Prefect's stubs lack _sync
            secret = Secret.load(block, _sync=True).get()  # type: ignore[call-arg, union-attr]
        except ValueError:
            raise LookupError(
                f"{parameter}: {path} needs the Prefect Secret block {block!r} "
                f"(or the environment variable {variable}); create it as a JSON object with {content}"
            ) from None
    # never show the value, nor the parser's message about it
    try:
        value = json.loads(secret) if isinstance(secret, str) else secret
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _unusable(parameter, path, content) from None
    return value


def _unusable(parameter: str, path: str, content: str) -> LookupError:
    return LookupError(f"{parameter}: the secret {block_name(path)!r} must be a JSON object with {content}")
