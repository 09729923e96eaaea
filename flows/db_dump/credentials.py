"""Logins of the databases: from a Prefect Secret block, or from the environment when run alone."""

import json
import os

from prefect.blocks.system import Secret


def block_name(secret_path: str) -> str:
    """`/source/my_db` → `source-my-db`: names of blocks have neither slashes nor underscores."""
    return secret_path.strip("/").replace("/", "-").replace("_", "-").lower()


def database_login(infisical_secret_path: str) -> tuple[str, str]:
    """User and password."""
    value = _secret("infisical_secret_path", infisical_secret_path, "user and password")
    login = value.get("user"), value.get("password")
    if not all(isinstance(text, str) and text for text in login):
        raise _unusable("infisical_secret_path", infisical_secret_path, "user and password, each of them a text")
    return login


def target_arguments(target_secret_path: str) -> dict:
    """The arguments of the target's own driver."""
    return _secret("target_secret_path", target_secret_path, "the target's connection arguments")


def _secret(parameter: str, path: str, content: str) -> dict:
    """The environment variable SECRET_<BLOCK NAME>, where there is one, goes before the block."""
    block = block_name(path)
    variable = "SECRET_" + block.replace("-", "_").upper()
    secret = os.environ.get(variable)
    if secret is None:
        try:
            secret = Secret.load(block, _sync=True).get()
        except ValueError:
            raise LookupError(
                f"{parameter}: {path} needs the Prefect Secret block {block!r} "
                f"(or the environment variable {variable}); create it as a JSON object with {content}"
            ) from None
    # never show the value, nor the parser's view of it
    try:
        value = json.loads(secret) if isinstance(secret, str) else secret
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _unusable(parameter, path, content) from None
    return value


def _unusable(parameter: str, path: str, content: str) -> LookupError:
    return LookupError(f"{parameter}: the secret {block_name(path)!r} must be a JSON object with {content}")
