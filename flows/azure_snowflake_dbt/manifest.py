"""The manifest of an export: the files that the Azure Function wrote."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator

# Neither `..` nor an empty part: a path cannot leave its folder
PATH = r"[\w-][\w.-]*(?:/[\w-][\w.-]*)*"


class ExportedFile(BaseModel):
    """One file of an export."""

    name: Annotated[str, Field(pattern=rf"^{PATH}$")]
    rows: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(BaseModel):
    """The result of an export: `files` below `path` in the exports container, `columns` in the order of a CSV file."""

    export_id: str
    dataset: str
    logical_date: date
    format: str
    path: Annotated[str, Field(pattern=rf"^{PATH}/$")]
    columns: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]], Field(min_length=1)]
    files: list[ExportedFile]

    @field_validator("columns", "files")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        # Snowflake ignores the case of columns, not of files
        names = [value.upper() if isinstance(value, str) else value.name for value in values]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"named more than once: {', '.join(repeated)}")
        return values

    @property
    def rows(self) -> int:
        """The number of rows in all files."""
        return sum(file.rows for file in self.files)
