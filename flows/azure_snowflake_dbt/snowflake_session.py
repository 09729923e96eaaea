"""A Snowflake session with time limits, whose errors are one line."""

import re
from typing import Any

import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error

from redaction import redacted

LOGIN_SECONDS = 60


class SignInError(RuntimeError):
    """The session could not be opened; the message says why and contains no secret."""


def connect(arguments: dict[str, Any], *, query_tag: str, time_limit: int) -> SnowflakeConnection:
    """Open a session. `time_limit` is in seconds, per statement, on the server and in the client.

    Without a limit the connector retries for ever while it gets no answer, or an answer of 5xx. Raises SignInError.
    """
    parameters = {
        "QUERY_TAG": query_tag,
        "STATEMENT_TIMEOUT_IN_SECONDS": time_limit,
        "CLIENT_TELEMETRY_ENABLED": False,
    }
    try:
        return snowflake.connector.connect(
            **{"login_timeout": LOGIN_SECONDS, "network_timeout": time_limit} | arguments,
            session_parameters=parameters,
        )
    except Error as error:
        reason = redacted(one_line(error), arguments.get("password", ""))
        raise SignInError(
            f"no session with the Snowflake account {arguments['account']} as {arguments['user']}: {reason}; "
            "check the secret 'snowflake', and whether the network lets this host reach the account"
        ) from None


def one_line(error: Error) -> str:
    """Snowflake's message, without its advice on ON_ERROR, which is a parameter of the flow."""
    message = " ".join((error.raw_msg or error.msg or type(error).__name__).split())
    return re.sub(r" If you would like to continue loading when an error.*", "", message)
