"""Errors of the steps; each message is one line."""


class StepError(Exception):
    """A step cannot do its work; the message says what, where, and how to correct it."""


class Unavailable(StepError):
    """A server cannot be reached, or the connection broke: trying again may help."""


def one_line(error: Exception) -> str:
    """The message without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
