"""What can go wrong with a source."""


class SourceError(Exception):
    """The source refuses the query: trying again gives the same result."""


class SourceUnavailable(SourceError):
    """The source cannot be reached, or the connection broke: trying again may help."""


def check_distinct(names: list[str]) -> None:
    """Raise SourceError for repeated column names, as a join of two tables gives them: files need distinct names."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(
            f"execute_query: several columns are called {', '.join(repeated)}; give each its own name (AS …)"
        )
