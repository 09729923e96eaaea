r"""Lines and states of runs, in text that UTF-8 can encode.

Python makes lone surrogates of bytes that are not UTF-8, as in the name of a file. Prefect cannot send them: it would
lose the line, and a run or a task that failed with such a text would go on for ever. They are sent as `\udce9`, which
is how the journal has them too.

Workers and their flows find this module by PYTHONPATH, and logging.yml has them import it.
"""

import logging
from typing import Any

from prefect.client.schemas.objects import State


def encodable(text: str) -> str:
    """The text, each lone surrogate as its escape sequence."""
    return text.encode(errors="backslashreplace").decode()


class Formatter(logging.Formatter):
    """Formats lines for the server."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with its traceback."""
        return encodable(super().format(record))


def _make_states_encodable() -> None:
    initialize = State.__init__

    def with_message(self: State[Any], **fields: Any) -> None:
        if isinstance(message := fields.get("message"), str):
            fields["message"] = encodable(message)
        initialize(self, **fields)

    State.__init__ = with_message  # type: ignore[method-assign]


_make_states_encodable()
