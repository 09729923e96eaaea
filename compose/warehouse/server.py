"""A stand-in for Snowflake: fakesnow as an HTTP server whose `azure://` stages are read from Azurite.

It starts by running the SQL an administrator runs on a real account (`SETUP_SQL`); what only a real account has (roles,
users, grants, compute, integrations) is accepted and ignored. Any user and any key may sign in.
"""

import os
from io import StringIO
from pathlib import Path

import fakesnow.copy_into
import fakesnow.server
import uvicorn
from adlfs import AzureBlobFileSystem
from fakesnow.copy_into import ReadCSV
from fakesnow.instance import FakeSnow
from snowflake.connector.util_text import split_statements
from sqlglot import Expr

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


class ReadSnowflakeCSV(ReadCSV):
    """In Snowflake only an empty field is null; a quoted empty text is a text. fakesnow makes both null."""

    def read_expression(self, url: str) -> Expr:
        """The table function call that reads the file."""
        call = super().read_expression(url)
        call.append("expressions", self.make_eq("allow_quoted_nulls", False))
        return call


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


def main() -> None:
    """Serve until stopped."""
    snow = warehouse(Path(os.environ.get("DATA_DIR", "/var/lib/warehouse")), os.environ["BLOB_CONNECTION_STRING"])
    set_up(snow, Path(os.environ["SETUP_SQL"]), {"storage_account": "devstoreaccount1"})
    fakesnow.copy_into.ReadCSV = ReadSnowflakeCSV
    fakesnow.server.shared_fs = snow
    uvicorn.run(fakesnow.server.app, host="0.0.0.0", port=int(os.environ.get("PORT", "8084")))  # noqa: S104


if __name__ == "__main__":
    main()
