"""Loading an export into a Snowflake table: staging table, COPY INTO, reconciliation, one transaction.

The files are named explicitly and go into a fresh temporary table, so what Snowflake remembers of files loaded before
(64 days, per table) never decides what is in the target. The rows of one logical date are replaced together, and only
when every count agrees with the manifest: rows in it = rows loaded + rows rejected, and none rejected unless allowed.
"""

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal

from snowflake.connector import DictCursor, SnowflakeConnection
from snowflake.connector.errors import Error

from azure_function import ExportedFile, Manifest
from report import fields
from snowflake_session import one_line

OnError = Literal["abort_statement", "continue", "skip_file"]

FILES_PER_COPY = 1000  # the most that FILES takes
REJECTED_SHOWN = 100
NAME = r"[A-Za-z_][A-Za-z0-9_$]{0,239}"  # Snowflake takes 255, and the staging table's name is longer
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
    first_error_line: int | None
    first_error_column: str | None

    def row(self) -> dict:
        """As a row of a table."""
        return asdict(self)

    @property
    def rows_rejected(self) -> int:
        """Rows that ON_ERROR left out. Of a failed file none is loaded, however many were parsed before it failed."""
        match self.status:
            case "LOAD_SKIPPED":
                return 0
            case "LOAD_FAILED":
                return self.rows_in_manifest
            case _:
                return self.rows_parsed - self.rows_loaded

    def problem(self, allow_rejected: bool) -> str | None:
        """Why rows are missing. A skipped file has none of its own: the staging table's count decides."""
        if self.status == "LOAD_SKIPPED":
            return None
        whole = self.status == "LOADED" and self.errors_seen == self.rows_rejected == 0
        if (whole or allow_rejected) and self.rows_loaded + self.rows_rejected == self.rows_in_manifest:
            return None
        error = f", first error: {self.first_error}" if self.first_error else ""
        line = f" (line {self.first_error_line})" if self.first_error_line else ""
        return f"{self.file} is {self.status} with {self.rows_loaded} of {self.rows_in_manifest} rows{error}{line}"


@dataclass
class Reconciled:
    """Rows in the staging table, and rows of the manifest that are not there because they were rejected."""

    staged: int
    rejected: int


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
        on_error: OnError = "abort_statement",
    ) -> None:
        for name in (target, stage):
            if not re.fullmatch(rf"{NAME}\.{NAME}", name):
                raise LoadError(f"{name!r} is not a name of the form schema.name, with at most 240 characters each")
        self._connection, self._manifest, self._logger = connection, manifest, logger
        self._target, self._stage, self._on_error = target, stage, on_error
        self._incomplete: list[str] = []  # the ids of the COPY statements that lost rows
        schema, table = target.split(".")
        # A name of its own for each attempt: a table that is new has loaded no file before.
        self._staging = f"{table}__load_{secrets.token_hex(4)}"
        self._execute(f"use schema {schema}")  # a temporary table belongs to the session's schema
        self._types = self._column_types()

    def done_before(self) -> bool:
        """Whether an earlier try loaded this very export: the day's rows are its rows, all of them."""
        counts = self._execute(
            "select count(*) as rows_there, count(case when _export_id = %s then 1 end) as rows_of_export "  # noqa: S608
            f"from {self._target} where _logical_date = %s",
            self._manifest.export_id,
            self._manifest.logical_date,
        ).fetchone()
        done = counts["ROWS_THERE"] == counts["ROWS_OF_EXPORT"] == self._manifest.rows
        if done:
            self._logger.info("load done before %s", self._fields(rows=self._manifest.rows))
        return done

    def state(self) -> str:
        """A digest of which export each day came with: it tells the table as it is from it after any other load."""
        days = self._execute(
            f"select _logical_date, _export_id, count(*) as row_count from {self._target} group by 1, 2 order by 1, 2"  # noqa: S608
        ).fetchall()
        return hashlib.sha256(repr([tuple(day.values()) for day in days]).encode()).hexdigest()

    def copy(self) -> list[FileResult]:
        """COPY the files into the staging table; what became of each."""
        if self._manifest.format == "json":
            columns = "record variant"
        else:
            columns = ", ".join(f"{column} {kind}" for column, kind in self._types.items())
        self._execute(f"create temporary table {self._staging} ({columns})")
        if self._manifest.format == "csv" and self._manifest.files:
            self._check_header(min(self._manifest.files, key=lambda file: file.bytes))

        results: list[FileResult] = []
        for files in _batches(self._manifest.files):
            started = time.monotonic()
            cursor = self._execute(self._copy_statement(files))
            rows = cursor.fetchall()
            if not rows or "file" not in rows[0]:
                raise LoadError(
                    f"COPY INTO {self._target} processed none of {len(files)} files: "
                    f"does the stage {self._stage} point to the container that the function writes to?"
                )
            copied = list(self._results(rows, files))
            if any(result.problem(allow_rejected=False) for result in copied):
                self._incomplete.append(cursor.sfqid)
            results += copied
            self._logger.info(
                "files copied %s",
                self._fields(
                    files=len(copied),
                    rows=sum(result.rows_loaded for result in copied),
                    rejected=sum(result.rows_rejected for result in copied),
                    done=f"{len(results)}/{len(self._manifest.files)}",
                    seconds=time.monotonic() - started,
                    query=cursor.sfqid,
                ),
            )
        return results

    def rejected_rows(self) -> list[dict]:
        """The first rejected rows: where they are and what is wrong with them.

        The record itself is left out, Snowflake's words quote the wrong value at most: more people read artifacts than
        may read the data. File and line lead those who may. VALIDATE knows no COPY INTO that transforms, as Parquet's
        does: there each file's first error, in its own result, is all there is.
        """
        rows: list[dict] = []
        if self._manifest.format == "parquet":
            return rows
        for query in self._incomplete:
            try:
                found = self._execute(
                    f"select * from table(validate({self._staging}, job_id => %s)) limit {REJECTED_SHOWN - len(rows)}",  # noqa: S608
                    query,
                ).fetchall()
            except LoadError as error:  # the loss of rows is the news, not that they cannot be listed
                self._logger.warning("the rejected rows cannot be listed: %s", error)
                break
            for row in found:
                where = {"file": self._name(row["FILE"]), "line": row["LINE"], "column": row["COLUMN_NAME"]}
                rows.append(where | {"error": " ".join((row["ERROR"] or "").split())[:200]})
            if len(rows) >= REJECTED_SHOWN:
                break
        return rows

    def reconcile(self, results: list[FileResult], *, allow_rejected: bool = False) -> Reconciled:
        """Fail unless every row of the manifest is in the staging table, once, or is rejected and allowed to be."""
        unloaded = {file.name for file in self._manifest.files} - {result.file for result in results}
        problems = [problem for result in results if (problem := result.problem(allow_rejected))]
        problems += [f"{name} was not processed" for name in sorted(unloaded)]
        if problems:
            more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
            raise LoadError(f"{self._target} is unchanged, the load is incomplete: {'; '.join(problems[:3])}{more}")
        rejected = sum(result.rows_rejected for result in results)
        counting = f"select count(*) as staged from {self._staging}"  # noqa: S608
        staged = self._execute(counting).fetchone()["STAGED"]
        if staged + rejected != self._manifest.rows:
            skipped = sum(result.status == "LOAD_SKIPPED" for result in results)
            raise LoadError(
                f"{self._target} is unchanged: {staged} rows were staged and {rejected} rejected, "
                f"the manifest has {self._manifest.rows} ({skipped} files were skipped)"
            )
        return Reconciled(staged, rejected)

    def replace_partition(self, staged: int) -> int:
        """Replace the rows of the logical date by those staged, in one transaction; how many there are now."""
        started = time.monotonic()
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
            if inserted != staged:
                raise LoadError(f"{self._target} is unchanged: {inserted} rows to insert, {staged} were staged")
            self._execute("commit")
        except BaseException:
            with suppress(LoadError):  # a lost session rolls back by itself
                self._execute("rollback")
            raise
        self._logger.info(
            "rows replaced %s", self._fields(rows=inserted, deleted=deleted, seconds=time.monotonic() - started)
        )
        return inserted

    def _check_header(self, file: ExportedFile) -> None:
        """Fail unless the file's first line names the manifest's columns in their order: COPY INTO goes by order alone.

        One file tells how the function writes them all; the smallest one is read twice for that.
        """
        columns = ", ".join(f"{column} varchar" for column in self._types)
        self._execute(f"create temporary table {self._staging}_header ({columns})")
        whole = FILE_FORMATS["csv"].replace("skip_header = 1", "skip_header = 0")
        # a row that cannot be read is left to the load itself, where it may be left out
        on_error = self._on_error.replace("skip_file", "continue")
        self._execute(
            f"copy into {self._staging}_header ({', '.join(self._types)}) from @{self._stage}/{self._manifest.path} "
            f"files = ('{file.name}') file_format = ({whole}) on_error = {on_error}"
        )
        is_header = " and ".join(f"upper(trim({column})) = '{column.upper()}'" for column in self._types)
        counting = f"select count(*) as headers from {self._staging}_header where {is_header}"  # noqa: S608
        if not self._execute(counting).fetchone()["HEADERS"]:
            raise LoadError(
                f"{self._target} is unchanged: the first line of {file.name} is not {','.join(self._types)}, which the "
                "manifest gives as the order of its columns"
            )

    def _copy_statement(self, files: list[ExportedFile]) -> str:
        source = f"@{self._stage}/{self._manifest.path}"
        columns = f" ({', '.join(self._types)})"
        if self._manifest.format == "json":
            columns = ""  # staged as it is: a value of another type fails the insert, whatever ON_ERROR says
        elif self._manifest.format == "parquet":
            values = ", ".join(f'$1:"{column}"::{kind}' for column, kind in self._types.items())
            source = f"(select {values} from {source})"  # noqa: S608
        names = ", ".join(f"'{file.name}'" for file in files)
        return (
            f"copy into {self._staging}{columns} from {source} files = ({names}) "
            f"file_format = ({FILE_FORMATS[self._manifest.format]}) on_error = {self._on_error}"
        )

    def _results(self, rows: list[dict], files: list[ExportedFile]) -> Iterator[FileResult]:
        promised = {file.name: file.rows for file in files}
        for row in rows:
            name = self._name(row["file"])
            yield FileResult(
                file=name,
                status=row["status"],
                rows_in_manifest=promised.get(name, 0),
                rows_parsed=row["rows_parsed"],
                rows_loaded=row["rows_loaded"],
                errors_seen=row["errors_seen"],
                first_error=row["first_error"] and " ".join(row["first_error"].split()),
                first_error_line=row["first_error_line"],
                first_error_column=row["first_error_column_name"],
            )

    def _name(self, file: str) -> str:
        """The manifest's name of a file that Snowflake names by its address or its path."""
        return file.rpartition(self._manifest.path)[2]

    def _fields(self, **values: object) -> str:
        return fields(table=self._target, logical_date=self._manifest.logical_date, **values)

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
        except Error as error:
            verb = " ".join(statement.split()[:2])
            query = f" (query {error.sfqid})" if error.sfqid else ""
            # Of a commit without an answer nobody knows; the next try looks whether the rows are there.
            state = "may have changed, run again" if verb == "commit" else "is unchanged"
            raise LoadError(
                f"{self._target} {state}: Snowflake refused `{verb} …` "
                f"on the export {self._manifest.path}: {one_line(error)}{query}"
            ) from None


def _batches(files: list[ExportedFile]) -> Iterator[list[ExportedFile]]:
    for start in range(0, len(files), FILES_PER_COPY):
        yield files[start : start + FILES_PER_COPY]
