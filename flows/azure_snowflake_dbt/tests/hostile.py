"""A secret that is hard to redact: all printable characters, each after a mark that no encoding changes.

A text that shows a part of the secret, also percent-encoded or as a literal, shows the mark.
"""

import traceback
from urllib.parse import quote

MARK = "m4rk"
# environment variables cannot contain NUL, nor headers a line break
SECRET = "".join(MARK + chr(code) for code in range(32, 127)) + MARK
ENCODED = quote(SECRET, safe="")


def visible_text(error: BaseException) -> str:
    """Everything that a log or a state shows of an error: its message, and those of its causes."""
    return f"{error} {error!r} " + "".join(traceback.format_exception(error))
