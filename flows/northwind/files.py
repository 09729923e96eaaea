"""The files of one day below the root. The files of a step count only with its manifest, which is written last.

<root>/postgres/<table>/<day>/<table>.csv
<root>/csv/<day>/order_details.csv
<root>/manifests/<extraction>/<day>.json    tables, rows and checksums
<root>/report/<day>/orders_and_details.csv
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from errors import StepError
from tables import Table

Extraction = Literal["extract_postgres", "extract_csv"]


class File(BaseModel):
    """The rows of a table; `path` is relative to the root."""

    table: Table
    path: str
    rows: int
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """The files of an extraction."""

    day: date
    extraction: Extraction
    source: str
    extracted_at: datetime
    files: list[File]


@dataclass(frozen=True)
class Day:
    """The files of a day."""

    root: Path
    day: date

    @contextmanager
    def lock(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Allow one run at a time below this root, until the process ends; calls `waiting` when it has to wait."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def path(self, extraction: Extraction, table: str) -> Path:
        # a table's name may contain characters that a file's name cannot
        name = quote(table, safe="").replace(".", "%2E")
        if extraction == "extract_postgres":
            return self.root / "postgres" / name / str(self.day) / f"{name}.csv"
        return self.root / "csv" / str(self.day) / f"{name}.csv"

    @property
    def report(self) -> Path:
        return self.root / "report" / str(self.day) / "orders_and_details.csv"

    @contextmanager
    def extraction(self, extraction: Extraction, source: str) -> Iterator["Writer"]:
        """Files that appear together, when all of them are complete."""
        writer = Writer(self, extraction)
        try:
            yield writer
            # from here until the new manifest is written, the old manifest's checksums do not match
            for file in writer.files:
                (self.root / f"{file.path}.part").replace(self.root / file.path)
            manifest = Manifest(
                day=self.day,
                extraction=extraction,
                source=source,
                extracted_at=writer.started_at,
                files=writer.files,
            )
            with complete_file(self._manifest_path(extraction)) as content:
                content.write(manifest.model_dump_json(indent=1).encode())
        finally:
            self._tidy(extraction)

    def manifest(self, extraction: Extraction) -> Manifest | None:
        """The manifest of the extraction; None where the extraction has not succeeded for this day."""
        try:
            return Manifest.model_validate_json(self._manifest_path(extraction).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def verified(self, extraction: Extraction) -> list[File]:
        """The files of an extraction. Raises StepError where files or manifest are missing or changed."""
        manifest = self.manifest(extraction)
        if manifest is None:
            raise StepError(f"{extraction} has not succeeded for {self.day}; {self.advice(extraction)}")
        for file in manifest.files:
            path = self.root / file.path
            if not path.exists() or digest(path) != file.sha256:
                raise StepError(f"{path} is not the file that {extraction} wrote; {self.advice(extraction)}")
        return manifest.files

    def advice(self, step: str) -> str:
        """The advice to run a step for this day."""
        return f'run {{"day": "{self.day}", "steps": ["{step}"]}} first'

    def _manifest_path(self, extraction: Extraction) -> Path:
        return self.root / "manifests" / extraction / f"{self.day}.json"

    def _tidy(self, extraction: Extraction) -> None:
        """Remove files of interrupted runs, and of tables that no longer exist."""
        manifest = self.manifest(extraction)
        listed = {self.root / file.path for file in manifest.files} if manifest else set()
        folder = f"postgres/*/{self.day}" if extraction == "extract_postgres" else f"csv/{self.day}"
        for path in self.root.glob(f"{folder}/*.csv*"):
            if path not in listed:
                path.unlink()
                with suppress(OSError):
                    # fails for a folder that is not empty
                    path.parent.rmdir()
                    path.parent.parent.rmdir()


class Writer:
    """The files of an extraction while they are written."""

    def __init__(self, day: Day, extraction: Extraction) -> None:
        self._day, self._extraction = day, extraction
        self.started_at = datetime.now(UTC)
        self.files: list[File] = []

    def file(self, table: Table, write: Callable[[IO[bytes]], int]) -> File:
        """Write the rows of a table to a temporary file; `write` returns the number of rows."""
        place = self._day.path(self._extraction, table.name)
        part = place.with_name(f"{place.name}.part")
        place.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            rows = write(file)
            file.flush()
            os.fsync(file.fileno())
        path = str(place.relative_to(self._day.root))
        self.files.append(File(table=table, path=path, rows=rows, bytes=part.stat().st_size, sha256=digest(part)))
        return self.files[-1]


@contextmanager
def complete_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to. It appears under its name when it is complete, in place of an older file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
