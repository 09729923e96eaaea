"""A session in one of the two databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict

from errors import StepError, Unavailable, one_line
from redaction import redacted

# Fixed formats and one schema, independent of the settings of server and role. They end with the transaction: a pooler
# such as PgBouncer may hand the session to another client then.
SETTINGS = """
SET LOCAL search_path = public; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO';
SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex';
SET LOCAL statement_timeout = 0
"""


@dataclass(frozen=True)
class Database:
    """The address of a database (of libpq, without a password), and the login. Raises StepError for a bad address."""

    address: str
    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        try:
            parts = conninfo_to_dict(self.address)
        except psycopg.Error:
            parts = {}
        if parts.keys() & {"password", "sslpassword"} or not {"host", "dbname"} <= parts.keys():
            # the address is not shown, because it may contain a password
            raise StepError("the address of a database must be postgresql://host[:port]/database, without the password")
        for port in filter(None, str(parts.get("port") or "").split(",")):
            if not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
                raise StepError(f"{self}: {port} is not a port; give the address a port from 1 to 65535")

    def __str__(self) -> str:
        parts = conninfo_to_dict(self.address)
        return f"{parts['host']}/{parts['dbname']}"

    @contextmanager
    def transaction(self, *, read_only: bool) -> Iterator[psycopg.Connection[Any]]:
        """A transaction: its work is kept as a whole or not at all. When read-only, it sees one state of the database.

        Raises Unavailable where the server cannot be reached, and StepError for what PostgreSQL refuses.
        """
        try:
            connection = psycopg.connect(
                self.address,
                user=self.user,
                password=self.password,
                client_encoding="UTF8",
                connect_timeout=10,
                application_name="northwind",
            )
        except psycopg.Error as error:
            reason = redacted(str(error), self.password)
            raise Unavailable(f"{self}: {reason}; check the address, and the secret that holds the login") from None
        try:
            with connection:
                connection.read_only = read_only
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ if read_only else None
                connection.execute(SETTINGS)
                yield connection
        except errors.InsufficientPrivilege as error:
            raise StepError(f"{self}: {one_line(error)}; grant it to {self.user}") from error
        except psycopg.OperationalError as error:
            raise Unavailable(f"{self}: {one_line(error)}") from error
        except psycopg.Error as error:
            raise StepError(f"{self}: {one_line(error)}") from error


def identifiers(names: list[str]) -> sql.Composable:
    """Quoted names, separated by commas."""
    return sql.SQL(", ").join(map(sql.Identifier, names))
