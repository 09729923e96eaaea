"""The files of one day below the root; what a step wrote counts only with the manifest, which is written last.

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
    """What an extraction wrote."""

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
        """Only one run at a time below this root; `waiting` is called when there is another. Ends with the process."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def path(self, extraction: Extraction, table: str) -> Path:
        # a name may hold what is no name of a file
        name = quote(table, safe="").replace(".", "%2E")
        if extraction == "extract_postgres":
            return self.root / "postgres" / name / str(self.day) / f"{name}.csv"
        return self.root / "csv" / str(self.day) / f"{name}.csv"

    @property
    def report(self) -> Path:
        return self.root / "report" / str(self.day) / "orders_and_details.csv"

    @contextmanager
    def extraction(self, extraction: Extraction, source: str) -> Iterator["Writing"]:
        """Files that appear together, when all of them are whole."""
        writing = Writing(self, extraction)
        try:
            yield writing
            # between here and the manifest the checksums of the manifest before do not fit
            for file in writing.files:
                (self.root / f"{file.path}.part").replace(self.root / file.path)
            content = Manifest(
                day=self.day,
                extraction=extraction,
                source=source,
                extracted_at=writing.began,
                files=writing.files,
            )
            with whole_file(self._manifest_path(extraction), "w") as file:
                file.write(content.model_dump_json(indent=1))
        finally:
            self._tidy(extraction)

    def manifest(self, extraction: Extraction) -> Manifest | None:
        """What the extraction wrote; None where it has not succeeded for this day."""
        try:
            return Manifest.model_validate_json(self._manifest_path(extraction).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def verified(self, extraction: Extraction) -> list[File]:
        """The files of an extraction, which are as it left them."""
        manifest = self.manifest(extraction)
        if manifest is None:
            raise StepError(f"{extraction} has not succeeded for {self.day}; {self.again(extraction)}")
        for file in manifest.files:
            path = self.root / file.path
            if not path.exists() or digest(path) != file.sha256:
                raise StepError(f"{path} is not the file that {extraction} wrote; {self.again(extraction)}")
        return manifest.files

    def again(self, step: str) -> str:
        """What to do so that a step has done its work for this day."""
        return f'run {{"day": "{self.day}", "steps": ["{step}"]}} first'

    def _manifest_path(self, extraction: Extraction) -> Path:
        return self.root / "manifests" / extraction / f"{self.day}.json"

    def _tidy(self, extraction: Extraction) -> None:
        """Remove what a run that broke off left, and tables that are no more."""
        manifest = self.manifest(extraction)
        wanted = {self.root / file.path for file in manifest.files} if manifest else set()
        folder = f"postgres/*/{self.day}" if extraction == "extract_postgres" else f"csv/{self.day}"
        for path in self.root.glob(f"{folder}/*.csv*"):
            if path not in wanted:
                path.unlink()
                with suppress(OSError):
                    # not empty
                    path.parent.rmdir()
                    path.parent.parent.rmdir()


class Writing:
    """The files of an extraction while they are written."""

    def __init__(self, day: Day, extraction: Extraction) -> None:
        self._day, self._extraction = day, extraction
        self.began = datetime.now(UTC)
        self.files: list[File] = []

    def file(self, table: Table, write: Callable[[IO[bytes]], int]) -> File:
        """Write the rows of a table beside their place; `write` tells how many there are."""
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
def whole_file(path: Path, mode: Literal["w", "wb"]) -> Iterator[IO]:
    """A file to write to. It appears under its name when it is whole, replacing what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open(mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
