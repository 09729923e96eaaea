"""Wait for what happens elsewhere."""

import time
from collections.abc import Callable
from typing import TypeVar

from speed import speed

T = TypeVar("T")


def until(condition: Callable[[], T], within: float, what: str) -> T:
    """Ask until the answer is true, and return it. A slow machine gets more time than the seconds of `within`."""
    start = time.monotonic()
    while not (answer := condition()):
        waited = time.monotonic() - start
        if waited > within and waited > within * speed():
            raise TimeoutError(f"{what}: not within {waited:.0f} s")
        time.sleep(0.5)  # an answer may cost more than the wait
    return answer
