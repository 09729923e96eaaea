"""Answers of flows are kept until a file of their project, or their environment, changes."""

import sys
from pathlib import Path

import pytest

from deployer.flows.inspection import Flow, inspect

PYTHON = Path(sys.executable)
HELLO = "flow.py:hello"


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> list[list[Path]]:
    """The projects that were really imported, a list each time."""
    from deployer.flows import inspection

    calls: list[list[Path]] = []
    ask = inspection._ask

    def count(python: Path, asked: dict[Path, list[str]]) -> dict:
        calls.append(list(asked))
        return ask(python, asked)

    monkeypatch.setattr(inspection, "_ask", count)
    return calls


def test_an_unchanged_project_is_imported_once(write_project, imports: list[list[Path]]) -> None:
    shop = write_project()
    first = inspect(PYTHON, {shop: [HELLO]})
    assert inspect(PYTHON, {shop: [HELLO]}) == first
    assert isinstance(first[shop][HELLO], Flow)
    assert imports == [[shop], []]


def test_a_changed_module_is_imported_again(write_project, imports: list[list[Path]]) -> None:
    shop, other = write_project(), write_project("other")
    inspect(PYTHON, {shop: [HELLO], other: [HELLO]})
    (shop / "flow.py").write_text((shop / "flow.py").read_text().replace("who: str", "whom: str"))
    again = inspect(PYTHON, {shop: [HELLO], other: [HELLO]})
    assert imports == [[shop, other], [shop]]
    assert "whom" in again[shop][HELLO].parameters["properties"]


def test_a_flow_that_cannot_be_imported_is_tried_again(write_project, imports: list[list[Path]]) -> None:
    shop = write_project(flow_py="raise OSError('away')")
    assert "away" in inspect(PYTHON, {shop: [HELLO]})[shop][HELLO]
    inspect(PYTHON, {shop: [HELLO]})
    assert imports == [[shop], [shop]]


def test_an_answer_that_was_cut_off_is_not_used(write_project, imports: list[list[Path]], tmp_path: Path) -> None:
    shop = write_project()
    first = inspect(PYTHON, {shop: [HELLO]})
    [kept] = (tmp_path / "inspections").iterdir()
    kept.write_text(kept.read_text()[:20])
    assert inspect(PYTHON, {shop: [HELLO]}) == first
