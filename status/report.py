"""Lines to read, and among them problems, and work that is due."""

from datetime import UTC, datetime
from io import StringIO
from textwrap import wrap
from typing import TextIO

NOW = datetime.now(UTC)
WIDTH = 98


class Report:
    """Prints as it goes; remembers problems and due work, and repeats them at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Prints there, by default on the screen."""
        self._stream = stream
        self.wrong: list[str] = []
        self.due: list[str] = []

    def title(self, text: str) -> None:
        """The head of a section."""
        self._print(f"\n{text}")

    def line(self, text: str, wrong: str | None = None, due: str | None = None) -> None:
        """A line, folded if it is long; with `wrong` or `due`, one that stands out, and what to do about it.

        A problem fails the command. Due work does not: you choose the moment.
        """
        first, *rest = wrap(text, WIDTH, subsequent_indent="    ") or [""]
        self._print(f"{'!' if wrong else '*' if due else ' '} {first}".rstrip())
        for more in rest:
            self._print(f"  {more}")
        if wrong:
            self.wrong.append(wrong)
        if due:
            self.due.append(due)

    def apart(self) -> "Report":
        """Another one of the same kind, that is to be added later."""
        return type(self)(StringIO())

    def add(self, other: "Report") -> None:
        """What another one has to tell, here."""
        self._print(other._stream.getvalue().removesuffix("\n"))
        self.wrong += other.wrong
        self.due += other.due

    def end(self) -> int:
        """The verdict, and the exit code that goes with it: 1 when something is wrong."""
        if self.due:
            self.title("Due, when it suits you:")
            for due in self.due:
                self._print(f"  {due}")
        self.title("Wrong:" if self.wrong else "All is well.")
        for wrong in self.wrong:
            self._print(f"  {wrong}")
        return 1 if self.wrong else 0

    def _print(self, line: str) -> None:
        print(line, file=self._stream)


def age(moment: datetime | None) -> str:
    """How long ago, in the largest unit that tells: `3 d`, `5 h`, `12 min`, `40 s`."""
    if moment is None:
        return "-"
    seconds = max(int((NOW - moment).total_seconds()), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def size(number: str) -> str:
    """Bytes, in the largest unit that tells; `-` for what systemd does not count."""
    if not number.isdigit() or int(number) >= 2**63:
        return "-"
    amount = float(number)
    for unit in ("B", "K", "M", "G"):
        if amount < 1024:
            return f"{amount:.0f}{unit}"
        amount /= 1024
    return f"{amount:.1f}T"
