"""Logins of the source databases: from a Prefect Secret block, or from the environment when run alone."""

import json
import os

from prefect.blocks.system import Secret


def block_name(infisical_secret_path: str) -> str:
    """`/source/my_db` → `source-my-db`: names of blocks have neither slashes nor underscores."""
    return infisical_secret_path.strip("/").replace("/", "-").replace("_", "-").lower()


def database_login(infisical_secret_path: str) -> tuple[str, str]:
    """User and password. The environment variable SECRET_<BLOCK NAME>, where there is one, goes before the block."""
    block = block_name(infisical_secret_path)
    variable = "SECRET_" + block.replace("-", "_").upper()
    secret = os.environ.get(variable)
    if secret is None:
        try:
            secret = Secret.load(block, _sync=True).get()
        except ValueError:
            raise LookupError(
                f"infisical_secret_path: {infisical_secret_path} needs the Prefect Secret block {block!r} "
                f"(or the environment variable {variable}); create it with "
                '{"user": …, "password": …}'
            ) from None
    # never show the value, nor the parser's view of it
    try:
        value = json.loads(secret) if isinstance(secret, str) else secret
        return value["user"], value["password"]
    except (ValueError, TypeError, KeyError):
        raise LookupError(
            f"infisical_secret_path: the secret {block!r} must be a JSON object with user and password"
        ) from None
