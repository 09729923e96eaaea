"""The output of a run: `key=value` pairs in the logs, and a summary in Markdown."""

import json
import logging
import re
import time
from dataclasses import dataclass, field
from typing import Any

Logger = logging.Logger | logging.LoggerAdapter[Any]


def fields(**values: object) -> str:
    """Values as logfmt, which people can read in the UI and in the journal, and log tools can parse."""
    return " ".join(f"{name}={_value(value)}" for name, value in values.items() if value is not None)


@dataclass
class Summary:
    """A table with a row for each step; its seconds count from the end of the step before."""

    title: str
    warnings: list[str] = field(default_factory=list)
    _rows: list[str] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    def step(self, name: str, result: str) -> None:
        """Add the result of a step at its end."""
        now = time.monotonic()
        self._rows.append(f"| {name} | {result} | {now - self._since:.1f} |")
        self._since = now

    def markdown(self) -> str:
        """The summary with its warnings."""
        warnings = [f"- ⚠️ {warning}" for warning in self.warnings]
        table = ["| step | result | seconds |", "|---|---|---|", *self._rows]
        return "\n".join([f"# {self.title}", "", *warnings, *([""] if warnings else []), *table, ""])


def _value(value: object) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text if re.fullmatch(r"[^\s=\"]+", text) else json.dumps(text, ensure_ascii=False)
