"""A secret that is easily let through: all printable characters, before each a mark that no way of writing changes.

What shows a part of it, percent-encoded or as a literal too, shows the mark.
"""

import traceback
from urllib.parse import quote

MARK = "m4rk"
# an environment holds no NUL, and a header no line break
SECRET = "".join(MARK + chr(code) for code in range(32, 127)) + MARK
ENCODED = quote(SECRET, safe="")


def told(error: BaseException) -> str:
    """All that a log or a state shows of an error: its words, and those of what it came from."""
    return f"{error} {error!r} " + "".join(traceback.format_exception(error))
