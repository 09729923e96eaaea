"""The databases that dumps are loaded into. Each is one module here with a class that is a `Target`."""

from importlib import import_module
from typing import Protocol

import pyarrow as pa

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

    def check(self, dataset_id: str, table_id: str, schema: pa.Schema) -> None:
        """Refuse, before anything is read, what the table there cannot take."""

    def load(self, table: Table, manifest: Manifest) -> Result:
        """Bring the table there to what is published, in one transaction."""


def open_target(target_type: str, arguments: dict) -> Target:
    """The target of this type; connects only when it is asked for something."""
    return getattr(import_module(f"targets.{target_type}"), TARGETS[target_type])(arguments)
