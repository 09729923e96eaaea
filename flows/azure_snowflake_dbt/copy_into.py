"""Loading an export into a Snowflake table: staging table, COPY INTO, reconciliation, one transaction.

COPY INTO names the files, and loads them into a new temporary table: Snowflake's memory of loaded files (64 days, per
table) then has no effect. The load replaces the rows of one logical date together, and only when every count agrees
with the manifest: rows in it = rows loaded + rows rejected, and none rejected unless allowed.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

from snowflake.connector import DictCursor, SnowflakeConnection
from snowflake.connector.errors import Error

from copy_results import FileResult, Reconciled, manifest_name, parse_results
from manifest import ExportedFile, Manifest
from report import Logger, fields
from snowflake_session import one_line

OnError = Literal["abort_statement", "continue", "skip_file"]

FILES_PER_COPY = 1000  # the limit of FILES
REJECTED_SHOWN = 100
NAME = r"[A-Za-z_][A-Za-z0-9_$]{0,239}"  # Snowflake takes 255, and the staging table's name is longer
FILE_FORMATS = {
    "csv": "type = csv skip_header = 1 field_optionally_enclosed_by = '\"' null_if = () escape_unenclosed_field = none",
    "json": "type = json",
    "parquet": "type = parquet use_logical_type = true",
}


class LoadError(RuntimeError):
    """The export was not loaded; the target is as it was before."""


class Load:
    """One load of `manifest`'s files, below `stage`, into `target` (`schema.table`); one session, one staging table."""

    def __init__(
        self,
        connection: SnowflakeConnection,
        manifest: Manifest,
        logger: Logger,
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
        # a new name for each attempt: a new table has loaded no file before
        self._staging = f"{table}__load_{secrets.token_hex(4)}"
        self._execute(f"use schema {schema}")  # a temporary table belongs to the session's schema
        self._types = self._column_types()

    def already_loaded(self) -> bool:
        """Whether an earlier attempt loaded this export: the day's rows are exactly its rows."""
        counts = self._select_row(
            "select count(*) as rows_of_day, count(case when _export_id = %s then 1 end) as rows_of_export "  # noqa: S608
            f"from {self._target} where _logical_date = %s",
            self._manifest.export_id,
            self._manifest.logical_date,
        )
        loaded: bool = counts["ROWS_OF_DAY"] == counts["ROWS_OF_EXPORT"] == self._manifest.rows
        if loaded:
            self._logger.info("already loaded %s", self._fields(rows=self._manifest.rows))
        return loaded

    def state(self) -> str:
        """A digest of the days and their exports, which changes with every load."""
        days = self._execute(
            f"select _logical_date, _export_id, count(*) as row_count from {self._target} group by 1, 2 order by 1, 2"  # noqa: S608
        ).fetchall()
        return hashlib.sha256(repr([tuple(day.values()) for day in days]).encode()).hexdigest()

    def copy(self) -> list[FileResult]:
        """COPY the files into the staging table; returns the result of each file."""
        if self._manifest.format == "json":
            columns = "record variant"
        else:
            columns = ", ".join(f"{column} {type_}" for column, type_ in self._types.items())
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
            copied = parse_results(rows, files, self._manifest.path)
            if cursor.sfqid and any(result.problem(allow_rejected=False) for result in copied):
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

    def rejected_rows(self) -> list[dict[str, Any]]:
        """The first rejected rows: their places and Snowflake's messages.

        The record itself is left out, and a message quotes at most the wrong value: more people may read artifacts than
        may read the data, and those who may find the record by file and line. VALIDATE does not support a COPY INTO
        that transforms, as Parquet's does: for Parquet, only each file's first error is known.
        """
        rows: list[dict[str, Any]] = []
        if self._manifest.format == "parquet":
            return rows
        for query in self._incomplete:
            try:
                invalid_rows = self._execute(
                    f"select * from table(validate({self._staging}, job_id => %s)) limit {REJECTED_SHOWN - len(rows)}",  # noqa: S608
                    query,
                ).fetchall()
            except LoadError as error:  # the lost rows matter, not that they cannot be listed
                self._logger.warning("the rejected rows cannot be listed: %s", error)
                break
            for row in invalid_rows:
                place = {
                    "file": manifest_name(row["FILE"], self._manifest.path),
                    "line": row["LINE"],
                    "column": row["COLUMN_NAME"],
                }
                rows.append(place | {"error": " ".join((row["ERROR"] or "").split())[:200]})
            if len(rows) >= REJECTED_SHOWN:
                break
        return rows

    def reconcile(self, results: list[FileResult], *, allow_rejected: bool = False) -> Reconciled:
        """Raise LoadError unless every row of the manifest is in the staging table once, or rejected and allowed."""
        unprocessed = {file.name for file in self._manifest.files} - {result.file for result in results}
        problems = [problem for result in results if (problem := result.problem(allow_rejected))]
        problems += [f"{name} was not processed" for name in sorted(unprocessed)]
        if problems:
            more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
            raise LoadError(f"{self._target} is unchanged, the load is incomplete: {'; '.join(problems[:3])}{more}")
        rejected = sum(result.rows_rejected for result in results)
        counting = f"select count(*) as staged from {self._staging}"  # noqa: S608
        staged = self._select_row(counting)["STAGED"]
        if staged + rejected != self._manifest.rows:
            skipped = sum(result.status == "LOAD_SKIPPED" for result in results)
            raise LoadError(
                f"{self._target} is unchanged: {staged} rows were staged and {rejected} rejected, "
                f"the manifest has {self._manifest.rows} ({skipped} files were skipped)"
            )
        return Reconciled(staged, rejected)

    def replace_partition(self, staged: int) -> int:
        """Replace the rows of the logical date by the staged rows, in one transaction; returns their number."""
        started = time.monotonic()
        columns = ", ".join(self._types)
        if self._manifest.format == "json":
            values = ", ".join(f'record:"{column}"::{type_}' for column, type_ in self._types.items())
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
            with suppress(LoadError):  # Snowflake rolls back a lost session
                self._execute("rollback")
            raise
        self._logger.info(
            "rows replaced %s", self._fields(rows=inserted, deleted=deleted, seconds=time.monotonic() - started)
        )
        return inserted

    def _check_header(self, file: ExportedFile) -> None:
        """Raise LoadError unless the file's first line has the manifest's columns, in the order that COPY INTO uses.

        One file shows how the function writes them all: the caller gives the smallest, which is read twice.
        """
        columns = ", ".join(f"{column} varchar" for column in self._types)
        self._execute(f"create temporary table {self._staging}_header ({columns})")
        with_header = FILE_FORMATS["csv"].replace("skip_header = 1", "skip_header = 0")
        # here unreadable rows are ignored: the load itself decides about them
        on_error = self._on_error.replace("skip_file", "continue")
        self._execute(
            f"copy into {self._staging}_header ({', '.join(self._types)}) from @{self._stage}/{self._manifest.path} "
            f"files = ('{file.name}') file_format = ({with_header}) on_error = {on_error}"
        )
        is_header = " and ".join(f"upper(trim({column})) = '{column.upper()}'" for column in self._types)
        counting = f"select count(*) as headers from {self._staging}_header where {is_header}"  # noqa: S608
        if not self._select_row(counting)["HEADERS"]:
            raise LoadError(
                f"{self._target} is unchanged: the first line of {file.name} is not {','.join(self._types)}, which the "
                "manifest gives as the order of its columns"
            )

    def _copy_statement(self, files: list[ExportedFile]) -> str:
        source = f"@{self._stage}/{self._manifest.path}"
        columns = f" ({', '.join(self._types)})"
        if self._manifest.format == "json":
            columns = ""  # staged as a variant: a value of another type fails the insert, independent of ON_ERROR
        elif self._manifest.format == "parquet":
            values = ", ".join(f'$1:"{column}"::{type_}' for column, type_ in self._types.items())
            source = f"(select {values} from {source})"  # noqa: S608
        names = ", ".join(f"'{file.name}'" for file in files)
        return (
            f"copy into {self._staging}{columns} from {source} files = ({names}) "
            f"file_format = ({FILE_FORMATS[self._manifest.format]}) on_error = {self._on_error}"
        )

    def _fields(self, **values: object) -> str:
        return fields(table=self._target, logical_date=self._manifest.logical_date, **values)

    def _column_types(self) -> dict[str, str]:
        """The exported columns and their types in the target."""
        target = {
            row["name"].lower(): row["type"] for row in self._execute(f"describe table {self._target}").fetchall()
        }
        if missing := [column for column in self._manifest.columns if column.lower() not in target]:
            raise LoadError(
                f"{self._target} lacks the exported columns {', '.join(missing)}: add them to the table, "
                "or leave them out of the export"
            )
        return {column: target[column.lower()] for column in self._manifest.columns}

    def _select_row(self, statement: str, *parameters: object) -> dict[str, Any]:
        [row] = self._execute(statement, *parameters).fetchall()
        return row

    def _execute(self, statement: str, *parameters: object) -> DictCursor:
        cursor = self._connection.cursor(DictCursor)
        try:
            cursor.execute(statement, parameters or None)
            return cursor
        except Error as error:
            verb = " ".join(statement.split()[:2])
            query = f" (query {error.sfqid})" if error.sfqid else ""
            # after a commit without an answer the state is unknown; the next run looks for the rows
            state = "may have changed, run again" if verb == "commit" else "is unchanged"
            raise LoadError(
                f"{self._target} {state}: Snowflake refused `{verb} …` "
                f"on the export {self._manifest.path}: {one_line(error)}{query}"
            ) from None


def _batches(files: list[ExportedFile]) -> Iterator[list[ExportedFile]]:
    for start in range(0, len(files), FILES_PER_COPY):
        yield files[start : start + FILES_PER_COPY]
