"""Wait for what happens elsewhere."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], within: float, what: str) -> T:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within} s")
        time.sleep(0.5)  # an answer may cost more than the wait
    return answer
