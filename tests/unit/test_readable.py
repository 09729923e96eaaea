"""Figures and errors read the same in every program."""

import pytest

from host.readable import age, one_line, size


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (119.9, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (3e5, "3 d")]
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (1023, "1023B"), (2048, "2K"), (3 * 2**20, "3M"), (2**40, "1.0T"), (2**51, "2048.0T")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_an_error_of_several_lines() -> None:
    assert one_line(" is the server\n\trunning? \n") == "is the server running?"
