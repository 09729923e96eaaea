"""Loading an export into a Snowflake table: staging table, COPY INTO, reconciliation, one transaction.

The files are named explicitly and go into a fresh temporary table, so what Snowflake remembers of files loaded before
(64 days, per table) never decides what is in the target. The rows of one logical date are replaced together, and only
when every count agrees with the manifest.
"""

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

from snowflake.connector import DictCursor, SnowflakeConnection
from snowflake.connector.errors import DatabaseError

from azure_function import ExportedFile, Manifest

FILES_PER_COPY = 1000  # the most that FILES takes
FILE_FORMATS = {
    "csv": "type = csv skip_header = 1 field_optionally_enclosed_by = '\"' null_if = () escape_unenclosed_field = none",
    "json": "type = json",
    "parquet": "type = parquet use_logical_type = true",
}


class LoadError(RuntimeError):
    """The export was not loaded; the target is as it was before."""


@dataclass
class FileResult:
    """What COPY INTO said of one file, beside what the manifest promised."""

    file: str
    status: str
    rows_in_manifest: int
    rows_parsed: int
    rows_loaded: int
    errors_seen: int
    first_error: str | None

    def row(self) -> dict:
        """As a row of a table."""
        return asdict(self)

    @property
    def problem(self) -> str | None:
        """Why rows are missing. A skipped file has none of its own: the staging table's count decides."""
        if self.status == "LOAD_SKIPPED":
            return None
        if (
            self.status == "LOADED"
            and self.errors_seen == 0
            and self.rows_loaded == self.rows_parsed == self.rows_in_manifest
        ):
            return None
        error = f", first error: {self.first_error}" if self.first_error else ""
        return f"{self.file} is {self.status} with {self.rows_loaded} of {self.rows_in_manifest} rows{error}"


class Load:
    """One load of `manifest`'s files, below `stage`, into `target` (`schema.table`); one session, one staging table."""

    def __init__(
        self,
        connection: SnowflakeConnection,
        manifest: Manifest,
        logger: logging.Logger | logging.LoggerAdapter,
        *,
        target: str,
        stage: str,
    ) -> None:
        for name in (target, stage):
            if not re.fullmatch(r"[A-Za-z_][\w$]*\.[A-Za-z_][\w$]*", name):
                raise LoadError(f"{name!r} is not a name of the form schema.name")
        self._connection, self._manifest, self._logger = connection, manifest, logger
        self._target, self._stage = target, stage
        schema, table = target.split(".")
        # A name of its own for each attempt: a table that is new has loaded no file before.
        self._staging = f"{table}__load_{secrets.token_hex(4)}"
        self._execute(f"use schema {schema}")  # a temporary table belongs to the session's schema
        self._types = self._column_types()

    def copy(self) -> list[FileResult]:
        """COPY the files into the staging table; what became of each."""
        if self._manifest.format == "json":
            columns = "record variant"
        else:
            columns = ", ".join(f"{column} {kind}" for column, kind in self._types.items())
        self._execute(f"create temporary table {self._staging} ({columns})")

        results = []
        for files in _batches(self._manifest.files):
            rows = self._execute(self._copy_statement(files)).fetchall()
            if not rows or "file" not in rows[0]:
                raise LoadError(
                    f"COPY INTO {self._target} processed none of {len(files)} files: "
                    f"does the stage {self._stage} point to the container that the function writes to?"
                )
            results += self._results(rows, files)
        self._logger.info(
            "%s: %s files, %s rows copied", self._target, len(results), sum(r.rows_loaded for r in results)
        )
        return results

    def reconcile(self, results: list[FileResult]) -> None:
        """Fail unless every row of the manifest is in the staging table, once."""
        unloaded = {file.name for file in self._manifest.files} - {result.file for result in results}
        problems = [result.problem for result in results if result.problem]
        problems += [f"{name} was not processed" for name in sorted(unloaded)]
        if problems:
            more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
            raise LoadError(f"{self._target} is unchanged, the load is incomplete: {'; '.join(problems[:3])}{more}")
        counting = f"select count(*) as staged from {self._staging}"  # noqa: S608
        staged = self._execute(counting).fetchone()["STAGED"]
        if staged != self._manifest.rows:
            skipped = sum(result.status == "LOAD_SKIPPED" for result in results)
            raise LoadError(
                f"{self._target} is unchanged: {staged} rows were staged, the manifest has {self._manifest.rows} "
                f"({skipped} files were skipped)"
            )

    def replace_partition(self) -> int:
        """Replace the rows of the logical date by those staged, in one transaction; how many there are now."""
        columns = ", ".join(self._types)
        if self._manifest.format == "json":
            values = ", ".join(f'record:"{column}"::{kind}' for column, kind in self._types.items())
        else:
            values = columns
        self._execute("begin")
        try:
            deleted = self._execute(
                f"delete from {self._target} where _logical_date = %s",  # noqa: S608
                self._manifest.logical_date,
            ).rowcount
            inserted = self._execute(
                f"insert into {self._target} ({columns}, _logical_date, _export_id, _loaded_at) "  # noqa: S608
                f"select {values}, to_date(%s), %s, current_timestamp() from {self._staging}",
                self._manifest.logical_date,
                self._manifest.export_id,
            ).rowcount
            if inserted != self._manifest.rows:
                raise LoadError(
                    f"{self._target} is unchanged: {inserted} rows to insert, the manifest has {self._manifest.rows}"
                )
            self._execute("commit")
        except BaseException:
            with suppress(LoadError):  # a lost session rolls back by itself
                self._execute("rollback")
            raise
        self._logger.info(
            "%s: %s rows of %s replace %s", self._target, inserted, self._manifest.logical_date.isoformat(), deleted
        )
        return inserted

    def _copy_statement(self, files: list[ExportedFile]) -> str:
        source = f"@{self._stage}/{self._manifest.path}"
        columns = f" ({', '.join(self._types)})"
        if self._manifest.format == "json":
            columns = ""
        elif self._manifest.format == "parquet":
            values = ", ".join(f'$1:"{column}"::{kind}' for column, kind in self._types.items())
            source = f"(select {values} from {source})"  # noqa: S608
        names = ", ".join(f"'{file.name}'" for file in files)
        return (
            f"copy into {self._staging}{columns} from {source} files = ({names}) "
            f"file_format = ({FILE_FORMATS[self._manifest.format]}) on_error = abort_statement"
        )

    def _results(self, rows: list[dict], files: list[ExportedFile]) -> Iterator[FileResult]:
        promised = {file.name: file.rows for file in files}
        for row in rows:
            name = row["file"].rpartition(self._manifest.path)[2]
            yield FileResult(
                file=name,
                status=row["status"],
                rows_in_manifest=promised.get(name, 0),
                rows_parsed=row["rows_parsed"],
                rows_loaded=row["rows_loaded"],
                errors_seen=row["errors_seen"],
                first_error=row["first_error"],
            )

    def _column_types(self) -> dict[str, str]:
        """The exported columns, each with its type in the target."""
        target = {
            row["name"].lower(): row["type"] for row in self._execute(f"describe table {self._target}").fetchall()
        }
        if missing := [column for column in self._manifest.columns if column.lower() not in target]:
            raise LoadError(
                f"{self._target} lacks the exported columns {', '.join(missing)}: add them to the table, "
                "or leave them out of the export"
            )
        return {column: target[column.lower()] for column in self._manifest.columns}

    def _execute(self, statement: str, *parameters: object) -> DictCursor:
        try:
            return self._connection.cursor(DictCursor).execute(statement, parameters or None)
        except DatabaseError as error:
            verb = " ".join(statement.split()[:2])
            raise LoadError(f"Snowflake refused `{verb} …` for {self._target}: {error.raw_msg or error.msg}") from error


def _batches(files: list[ExportedFile]) -> Iterator[list[ExportedFile]]:
    for start in range(0, len(files), FILES_PER_COPY):
        yield files[start : start + FILES_PER_COPY]
