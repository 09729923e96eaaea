"""What can go wrong, in one line each."""


class StepError(Exception):
    """A step cannot do its work: what is wrong, where, and what to do."""


class Unavailable(StepError):
    """Something cannot be reached or broke off: trying again may help."""


def one_line(error: Exception) -> str:
    """The message without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
