"""What can go wrong with a source, and one way to say it."""


class SourceError(Exception):
    """The source refuses what it is asked: trying again gives the same."""


class SourceUnavailable(SourceError):
    """The source cannot be reached or broke off: trying again may help."""


def one_line(error: Exception) -> str:
    """The driver's message without its line breaks."""
    return " ".join(str(error).split())


def check_names(names: list[str]) -> None:
    """Files need distinct column names; a join of two tables easily gives the same name twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(
            f"execute_query: several columns are called {', '.join(twice)}; give each its own name (AS …)"
        )
