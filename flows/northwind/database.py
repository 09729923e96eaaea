"""A session in one of the two databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict

from errors import StepError, Unavailable, one_line
from redaction import redacted

# One way of writing dates, numbers and bytes, and one schema, whatever the server's or the role's settings say. They
# end with the transaction: a pooler such as PgBouncer may hand the session to another client then.
SETTINGS = """
SET LOCAL search_path = public; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO';
SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex';
SET LOCAL statement_timeout = 0
"""


@dataclass(frozen=True)
class Database:
    """Where a database is (a libpq address without a password), and who signs in."""

    address: str
    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        try:
            parts = conninfo_to_dict(self.address)
        except psycopg.Error:
            parts = {}
        if parts.keys() & {"password", "sslpassword"} or not {"host", "dbname"} <= parts.keys():
            # not shown, because a password may be in it
            raise StepError("the address of a database must be postgresql://host[:port]/database, without the password")
        for port in filter(None, parts.get("port", "").split(",")):
            if not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
                raise StepError(f"{self}: {port} is no port; give the address one from 1 to 65535")

    def __str__(self) -> str:
        parts = conninfo_to_dict(self.address)
        return f"{parts['host']}/{parts['dbname']}"

    @contextmanager
    def transaction(self, *, read_only: bool) -> Iterator[psycopg.Connection]:
        """All of the work in it is kept, or none; when it only reads, it sees the database of one moment."""
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
    """Names as SQL writes them, with commas between."""
    return sql.SQL(", ").join(map(sql.Identifier, names))
