"""Errors a user can meet: each is one line that says what, where, and how to mend it."""

from dataclasses import dataclass

# The place of a value in a file: ("deployments", 0, "schedules", 1, "cron")
Location = tuple[str | int, ...]


class DeployError(Exception):
    """Ends the command with one line."""


@dataclass(frozen=True, order=True)
class Problem:
    """A mistake in a project's files; `line` counts from 1, `field` is dotted and may be empty."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (f"{self.file}:{self.line}", self.field, one_line(self.message))))


def one_line(text: object) -> str:
    """Any text with its line breaks and runs of blanks folded."""
    return " ".join(str(text).split())
