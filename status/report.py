"""Lines to read, and among them problems, and work that is due."""

from datetime import UTC, datetime
from io import StringIO
from textwrap import wrap

from host import readable

NOW = datetime.now(UTC)
WIDTH = 98


class Report:
    """Prints as it goes; remembers problems and due work, and repeats them at the end."""

    def __init__(self, buffer: StringIO | None = None) -> None:
        """Prints into the buffer, without one on the screen."""
        self._buffer = buffer
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

    def part(self) -> "Report":
        """A report of the same kind, to be added later."""
        return type(self)(StringIO())

    def add(self, part: "Report") -> None:
        """Print a part here, and remember its problems and its due work."""
        if part._buffer:
            self._print(part._buffer.getvalue().removesuffix("\n"))
        self.wrong += part.wrong
        self.due += part.due

    def end(self) -> int:
        """Print the verdict. Returns the exit code: 1 if there is a problem."""
        if self.due:
            self.title("Due, when it suits you:")
            for due in self.due:
                self._print(f"  {due}")
        self.title("Wrong:" if self.wrong else "All is well.")
        for wrong in self.wrong:
            self._print(f"  {wrong}")
        return 1 if self.wrong else 0

    def _print(self, line: str) -> None:
        print(line, file=self._buffer)


def age(moment: datetime | None) -> str:
    """How long ago, as `5 h`; `-` for never."""
    return "-" if moment is None else readable.age((NOW - moment).total_seconds())


def size(number: str) -> str:
    """Bytes, as `300M`; `-` for what systemd does not count."""
    return readable.size(int(number)) if number.isdigit() and int(number) < 2**63 else "-"
