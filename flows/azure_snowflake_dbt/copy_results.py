"""What COPY INTO says of each file, compared with the manifest."""

from dataclasses import asdict, dataclass
from typing import Any

from manifest import ExportedFile


@dataclass
class FileResult:
    """The answer of COPY INTO for a file, beside the number of rows in the manifest."""

    file: str
    status: str
    rows_in_manifest: int
    rows_parsed: int
    rows_loaded: int
    errors_seen: int
    first_error: str | None
    first_error_line: int | None
    first_error_column: str | None

    def row(self) -> dict[str, Any]:
        """The result as a row of a table artifact."""
        return asdict(self)

    @property
    def rows_rejected(self) -> int:
        """The number of rows that ON_ERROR left out. A failed file loads no row, however many were parsed before."""
        match self.status:
            case "LOAD_SKIPPED":
                return 0
            case "LOAD_FAILED":
                return self.rows_in_manifest
            case _:
                return self.rows_parsed - self.rows_loaded

    def problem(self, allow_rejected: bool) -> str | None:
        """Why rows are missing; None where they are not. For skipped files, the staging table's count decides."""
        if self.status == "LOAD_SKIPPED":
            return None
        complete = self.status == "LOADED" and self.errors_seen == self.rows_rejected == 0
        if (complete or allow_rejected) and self.rows_loaded + self.rows_rejected == self.rows_in_manifest:
            return None
        error = f", first error: {self.first_error}" if self.first_error else ""
        line = f" (line {self.first_error_line})" if self.first_error_line else ""
        return f"{self.file} is {self.status} with {self.rows_loaded} of {self.rows_in_manifest} rows{error}{line}"


@dataclass
class Reconciled:
    """The number of rows in the staging table, and of rows of the manifest that were rejected."""

    staged: int
    rejected: int


def parse_results(rows: list[dict[str, Any]], files: list[ExportedFile], path: str) -> list[FileResult]:
    """The rows of COPY INTO's answer for these files, which are below `path`."""
    rows_in_manifest = {file.name: file.rows for file in files}
    results = []
    for row in rows:
        name = manifest_name(row["file"], path)
        results.append(
            FileResult(
                file=name,
                status=row["status"],
                rows_in_manifest=rows_in_manifest.get(name, 0),
                rows_parsed=row["rows_parsed"],
                rows_loaded=row["rows_loaded"],
                errors_seen=row["errors_seen"],
                first_error=row["first_error"] and " ".join(row["first_error"].split()),
                first_error_line=row["first_error_line"],
                first_error_column=row["first_error_column_name"],
            )
        )
    return results


def manifest_name(file: str, path: str) -> str:
    """The manifest's name of a file below `path`, which Snowflake names by its address or its path."""
    return file.rpartition(path)[2]
