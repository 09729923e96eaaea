"""The flow's secrets: the environment variable `SECRET_<NAME>` if it is set, else the Prefect Secret block.

The flow does not use the blocks of prefect-snowflake: dbt's profile needs the same values as the connector, so the flow
would have to take them out of the blocks again. They would add four packages, and a second place for the key pair.
"""

import json
import os
import re
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from prefect.blocks.system import Secret

from report import Logger

TEXTS = {
    *("account", "user", "role", "database", "warehouse", "schema", "host", "protocol"),
    *("password", "private_key", "passphrase"),
}


def text(name: str) -> str:
    """The secret of this name. Raises ValueError where it is not a text, and LookupError where it is missing."""
    value = _secret(name)
    if not isinstance(value, str) or value.strip() in ("", "null"):
        raise ValueError(f"the secret {name!r} must be a text, and not an empty one")
    return value


def snowflake(logger: Logger) -> dict[str, Any]:
    """Keyword arguments of `snowflake.connector.connect`, with the private key as unencrypted DER.

    Raises ValueError where the secret lacks something or has another shape, and LookupError where it is missing.
    """
    value = _secret("snowflake")
    try:
        arguments = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise ValueError("the secret 'snowflake' is not a JSON object of connection arguments")
    # null is the same as missing
    arguments = {name: value for name, value in arguments.items() if value is not None}
    if missing := {"account", "user", "database", "warehouse"} - {name for name, value in arguments.items() if value}:
        raise ValueError(f"the secret 'snowflake' lacks {', '.join(sorted(missing))}")
    if other_types := [name for name in TEXTS & arguments.keys() if not isinstance(arguments[name], str)]:
        raise ValueError(f"the secret 'snowflake' must have a text as {', '.join(sorted(other_types))}")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", str(port := arguments.get("port", 443))) or int(port) > 65535:
        raise ValueError("the secret 'snowflake' must have a number from 1 to 65535 as port")

    pem, passphrase = arguments.pop("private_key", None), arguments.pop("passphrase", None)
    if pem:
        arguments.pop("password", None)
        arguments["private_key"] = _der(pem, passphrase)
    elif arguments.get("password"):
        logger.warning(
            "Snowflake: signing in with a password, which Snowflake blocks for service users; use a key pair"
        )
    else:
        raise ValueError("the secret 'snowflake' has neither private_key nor password")
    return arguments


def _secret(name: str) -> object:
    variable = f"SECRET_{name.upper().replace('-', '_')}"
    if value := os.environ.get(variable):
        return value
    try:
        # Prefect's stubs lack _sync
        return Secret.load(name, _sync=True).get()  # type: ignore[call-arg, union-attr]
    except ValueError:
        raise LookupError(f"no secret {name!r}: create the Prefect Secret block {name}, or set {variable}") from None


def private_key_text(arguments: dict[str, Any]) -> str:
    """The private key as one line of text, for an environment variable; empty where there is no key."""
    return b64encode(arguments.get("private_key", b"")).decode()


def _der(pem: str, passphrase: str | None) -> bytes:
    try:
        key = load_pem_private_key(pem.encode(), passphrase.encode() if passphrase else None)
    except (ValueError, TypeError):  # the messages are dropped, because they may contain parts of the key
        raise ValueError(
            "the private_key of the secret 'snowflake' is not a PEM key, or its passphrase is wrong"
        ) from None
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
