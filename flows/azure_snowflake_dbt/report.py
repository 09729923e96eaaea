"""What a run tells: `key=value` pairs in the logs, and one summary in Markdown."""

import json
import re
import time
from dataclasses import dataclass, field


def fields(**values: object) -> str:
    """Values as logfmt, which reads the same in the UI and in the journal, and which any log tool splits."""
    return " ".join(f"{name}={_value(value)}" for name, value in values.items() if value is not None)


@dataclass
class Summary:
    """A table with a row for each step, timed from the step before it."""

    title: str
    warnings: list[str] = field(default_factory=list)
    _rows: list[str] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    def step(self, name: str, result: str) -> None:
        """Note what a step did, as it ends."""
        now = time.monotonic()
        self._rows.append(f"| {name} | {result} | {now - self._since:.1f} |")
        self._since = now

    def markdown(self) -> str:
        """The whole."""
        warnings = [f"- ⚠️ {warning}" for warning in self.warnings]
        table = ["| step | result | seconds |", "|---|---|---|", *self._rows]
        return "\n".join([f"# {self.title}", "", *warnings, *([""] if warnings else []), *table, ""])


def _value(value: object) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text if re.fullmatch(r"[^\s=\"]+", text) else json.dumps(text, ensure_ascii=False)
