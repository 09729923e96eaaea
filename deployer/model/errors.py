"""Errors a user can meet: each is one line that says what, where, and how to mend it."""

from dataclasses import dataclass


class DeployError(Exception):
    """Ends the command with one line."""


@dataclass(frozen=True, order=True)
class Problem:
    """Something wrong in a project's files."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (f"{self.file}:{self.line}", self.field, one_line(self.message))))


def one_line(text: object) -> str:
    """Any text with its line breaks and runs of blanks folded."""
    return " ".join(str(text).split())
