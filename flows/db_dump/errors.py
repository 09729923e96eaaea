"""Errors that several modules raise, and how an error becomes one line."""


class ParameterError(ValueError):
    """A parameter cannot be used; the message begins with its name and says what is accepted."""


def one_line(error: object) -> str:
    """The message of an error without its line breaks."""
    return " ".join(str(error).split())
