"""Errors of a load; each message is one line."""


class LoadError(Exception):
    """A file, a database or a parameter cannot be used: trying again gives the same result."""


class FileError(LoadError):
    """The content of a file cannot be read."""


class Unavailable(LoadError):
    """A server cannot be reached, or the connection broke: trying again may help."""


def one_line(error: Exception) -> str:
    """A library's message without its line breaks."""
    return " ".join(str(error).split())
