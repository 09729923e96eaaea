"""Lists that the server gives in pages."""

import asyncio
from types import SimpleNamespace

import pytest

from deployer.model.errors import DeployError
from deployer.server.kinds.queries import PAGE, all_pages


def read(*served: range):
    async def fetch(offset: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(id=number) for number in served[offset // PAGE]]

    return [item.id for item in asyncio.run(all_pages(fetch))]


def test_all_pages_are_read() -> None:
    assert read(range(PAGE), range(PAGE, PAGE + 5)) == list(range(PAGE + 5))
    assert read(range(PAGE), range(0)) == list(range(PAGE))


def test_a_list_that_moves_between_two_pages_is_not_taken_for_whole() -> None:
    with pytest.raises(DeployError, match="changed while they were read: run it again"):
        read(range(PAGE), range(PAGE - 1, PAGE + 4))
