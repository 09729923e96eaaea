"""A stand-in for Snowflake: fakesnow as an HTTP server whose `azure://` stages are read from Azurite.

It starts by running the SQL an administrator runs on a real account (`SETUP_SQL`); what only a real account has (roles,
users, grants, compute, integrations) is accepted and ignored. Any user and any key may sign in.
"""

import os
import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from io import StringIO
from pathlib import Path

import duckdb
import fakesnow.copy_into
import fakesnow.cursor
import fakesnow.info_schema
import fakesnow.server
import uvicorn
from adlfs import AzureBlobFileSystem
from duckdb import DuckDBPyConnection
from fakesnow.copy_into import ReadCSV
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from snowflake.connector.errors import ProgrammingError
from snowflake.connector.util_text import split_statements
from sqlglot import Expr, exp, parse_one

NOT_ABORTING = (
    "If you would like to continue loading when an error is encountered, use other values such as 'SKIP_FILE' or "
    "'CONTINUE' for the ON_ERROR option. For more information on loading options, please run 'info loading_data' in a "
    "SQL client."
)
ONLY_ON_A_REAL_ACCOUNT = [
    r"^\s*use\s+role",
    r"^\s*(create|alter)\s+(or\s+replace\s+)?(role|user|warehouse|storage\s+integration)",
    r"^\s*grant",
]


class AzureStage(AzureBlobFileSystem):
    """Files of an `azure://<account>.blob.core.windows.net/<container>/<path>` address."""

    protocol = "azure"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        host, slash, rest = path.removeprefix("azure://").partition("/")
        return rest if slash and host.endswith(".blob.core.windows.net") else f"{host}{slash}{rest}"


# The types of the columns that the COPY INTO at work loads.
copied_types: ContextVar[list[str]] = ContextVar("copied_types")


class ReadSnowflakeCSV(ReadCSV):
    """CSV as Snowflake reads it: the columns of the table, no more and no fewer, each as the type it has there.

    fakesnow guesses the types and drops what is too much. In Snowflake only an empty field is null, a quoted empty text
    is a text; fakesnow makes both null.
    """

    def read_expression(self, url: str) -> Expr:
        """The table function call that reads the file."""
        call = super().read_expression(url)
        options = {"auto_detect": False, "sep": self.sep, "escape": '"', "allow_quoted_nulls": False}
        for option, value in options.items():
            call.append("expressions", self.make_eq(option, value))
        columns = ", ".join(f"'column{number}': '{kind}'" for number, kind in enumerate(copied_types.get()))
        call.append("expressions", parse_one(f"columns = {{{columns}}}", read="duckdb"))
        return call


def copying(copy_into: Callable) -> Callable:
    """COPY INTO that reads as the table's types, and whose errors tell file and line as Snowflake's do."""

    @wraps(copy_into)
    def wrapper(duck: DuckDBPyConnection, database: str, schema: str, copy: exp.Copy, *more: object) -> str:
        table = fakesnow.copy_into._extract_table(copy.this)
        types = {name: kind for name, kind, *_ in duck.execute(f"describe {table.sql('duckdb')}").fetchall()}
        copied_types.set([types[column.name] for column in copy.this.expressions] or list(types.values()))
        try:
            return copy_into(duck, database, schema, copy, *more)
        except (duckdb.Error, ProgrammingError) as error:
            raise in_snowflakes_words(error) from None

    return wrapper


def in_snowflakes_words(error: Exception) -> Exception:
    """The error of a COPY INTO as Snowflake words it."""
    message = str(error)
    if missing := re.search(r'No files found that match the pattern "(.*?)"', message):
        return ProgrammingError(
            f"Remote file '{missing[1]}' was not found. There are several potential causes.", 91016, "22000"
        )
    if invalid := re.search(r"CSV Error on Line: (\d+)\nOriginal Line:.*?\n(.*?)\n.*?file = (\S+)", message, re.DOTALL):
        line, cause, file = invalid.groups()
        return ProgrammingError(f"{cause}\n  File '{file}', line {line}\n  {NOT_ABORTING}", 100038, "22018")
    return error


def answering(execute: Callable) -> Callable:
    """Statements that fail. fakesnow answers 500 to most, at which a client asks the same again and again."""

    @wraps(execute)
    def wrapper(self: FakeSnowflakeCursor, *arguments: object, **named: object) -> FakeSnowflakeCursor:
        try:
            return execute(self, *arguments, **named)
        except duckdb.Error as error:
            raise ProgrammingError(str(error).split("\n")[0], 100000, "22000") from error

    return wrapper


def warehouse(folder: Path, blob_connection_string: str) -> FakeSnow:
    """A Snowflake kept in `folder`, able to read stages in blob storage."""
    folder.mkdir(parents=True, exist_ok=True)
    snow = FakeSnow(db_path=folder, nop_regexes=ONLY_ON_A_REAL_ACCOUNT)
    snow.duck_conn.register_filesystem(
        AzureStage(connection_string=blob_connection_string, use_listings_cache=False, skip_instance_cache=True)
    )
    return snow


def set_up(snow: FakeSnow, setup_sql: Path, variables: dict[str, str]) -> None:
    """Run the administrator's SQL, with its `<% name %>` variables filled in as the `snow` command does."""
    text = setup_sql.read_text()
    for name, value in variables.items():
        text = text.replace(f"<% {name} %>", value)
    with snow.connect() as connection:
        for statement, _ in split_statements(StringIO(text), remove_comments=True):
            if statement:
                connection.cursor().execute(statement)


def files_of_a_stage(location: str, files: list[str]) -> list[str]:
    """The files that COPY INTO names; fakesnow finds them in a cloud only, not on a stage of its own."""
    if location.startswith("/"):
        return [f"{location.rstrip('/')}/{name}" for name in files]
    return _source_urls(location, files)


_source_urls = fakesnow.copy_into._source_urls


def text_lengths_of(catalog: str, schema: str, table: str, lengths: list[tuple[str, int]]) -> str:
    """The SQL that notes how long texts may be; fakesnow writes names of columns into it as they are."""
    return _text_lengths(catalog, schema, table, [(name.replace("'", "''"), length) for name, length in lengths])


_text_lengths = fakesnow.info_schema.insert_text_lengths_sql


def main() -> None:
    """Serve until stopped."""
    snow = warehouse(Path(os.environ.get("DATA_DIR", "/var/lib/warehouse")), os.environ["BLOB_CONNECTION_STRING"])
    set_up(snow, Path(os.environ["SETUP_SQL"]), {"storage_account": "devstoreaccount1"})
    fakesnow.copy_into.ReadCSV = ReadSnowflakeCSV
    fakesnow.copy_into._source_urls = files_of_a_stage
    fakesnow.info_schema.insert_text_lengths_sql = text_lengths_of
    fakesnow.cursor.copy_into = copying(fakesnow.cursor.copy_into)
    FakeSnowflakeCursor.execute = answering(FakeSnowflakeCursor.execute)
    fakesnow.server.shared_fs = snow
    uvicorn.run(fakesnow.server.app, host="0.0.0.0", port=int(os.environ.get("PORT", "8084")))  # noqa: S104


if __name__ == "__main__":
    main()
