"""Figures and errors as people read them, the same in every program."""

BYTES = ("B", "K", "M", "G")


def age(seconds: float) -> str:
    """A time in the largest unit that tells: `3 d`, `5 h`, `12 min`, `40 s`; 0 s if it is negative."""
    whole = max(int(seconds), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def size(count: float) -> str:
    """Bytes in the largest unit that tells, which is 1024 of the next smaller one: `300M`, `1.5T`."""
    for unit in BYTES:
        if count < 1024:
            return f"{count:.0f}{unit}"
        count /= 1024
    return f"{count:.1f}T"


def one_line(text: str) -> str:
    """A text of several lines, as some programs write their errors, in one."""
    return " ".join(text.split())
