"""What can go wrong, each in one line."""


class LoadError(Exception):
    """A file, a database or a parameter cannot be used: trying again gives the same."""


class FileError(LoadError):
    """What is in a file cannot be read."""


class Unavailable(LoadError):
    """Something cannot be reached: trying again may help."""


def one_line(error: Exception) -> str:
    """A library's message without its line breaks."""
    return " ".join(str(error).split())
