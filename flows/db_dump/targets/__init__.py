"""The databases that dumps are loaded into. Each is one module here with a class that is a `Target`."""

from importlib import import_module
from typing import Protocol

from stage import Manifest, Table

from .errors import TargetError, TargetUnavailable
from .plan import Result

__all__ = ["Result", "Target", "TargetError", "TargetUnavailable", "open_target"]

# Imported when asked for: drivers are large
TARGETS = {"postgres": "Postgres", "duckdb": "DuckDB", "snowflake": "Snowflake"}


class Target(Protocol):
    """What a load needs from a database: the published table as `<dataset_id>.<table_id>`, all of it or nothing."""

    def __init__(self, arguments: dict) -> None:
        """`arguments` are those of the database's own driver; nothing is connected yet."""

    def check(self, table: Table, draft: Manifest) -> None:
        """Refuse, before anything is read, what the table there cannot take: try the load without rows, and undo it."""

    def load(self, table: Table, manifest: Manifest, allow_empty: bool = False) -> Result:
        """Bring the table there to what is published, in one transaction; only `allow_empty` lets all rows go."""


def open_target(target_type: str, arguments: dict) -> Target:
    """The target of this type; connects only when it is asked for something."""
    return getattr(import_module(f"targets.{target_type}"), TARGETS[target_type])(arguments)
