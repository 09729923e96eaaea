"""Work ahead of its use."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """The items; a thread makes the next item while the caller uses the current one. At most one item waits.

    Closing the generator waits for the item in progress.
    """
    iterator, end = iter(items), _End()
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(next, iterator, end)
        while not isinstance(item := future.result(), _End):
            future = thread.submit(next, iterator, end)
            yield item


class _End:
    """What the thread returns after the last item."""
