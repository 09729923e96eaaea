"""The databases that dumps are loaded into. Each is a module here with a class that is a `Target`."""

from importlib import import_module
from typing import Any, Protocol, cast

from records import Manifest
from stage import Table

from .errors import TargetError, TargetUnavailable
from .plan import Result

__all__ = ["Result", "Target", "TargetError", "TargetUnavailable", "open_target"]

# Module and class; a run imports only the driver that it needs
TARGETS = {"postgres": "Postgres", "duckdb": "DuckDB", "snowflake": "Snowflake"}


class Target(Protocol):
    """What a load needs from a database: the published table as `<dataset_id>.<table_id>`, all of it or nothing."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        """Take the arguments of the database's own driver; nothing connects yet."""

    def check(self, table: Table, draft: Manifest) -> None:
        """Try the load without rows, and undo it.

        Raises TargetError or ParameterError for a table that the database cannot take, before the source is read.
        """

    def load(self, table: Table, manifest: Manifest, allow_empty: bool = False) -> Result:
        """Bring the database's table to the published state, in one transaction.

        Raises TargetError where no rows would replace all rows and `allow_empty` is not set.
        """


def open_target(target_type: str, arguments: dict[str, Any]) -> Target:
    """The target of this type; it connects with the first call of its methods."""
    target_class = getattr(import_module(f".{target_type}", __name__), TARGETS[target_type])
    return cast(Target, target_class(arguments))
