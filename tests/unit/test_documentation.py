"""The documentation leads to pages, headings and commands that exist, and its generated pages are up to date."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from commands import unknown

from docs.reference import generate

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
LINK = re.compile(r"\[[^\]]*\]\((?P<path>[^)\s#:]*)(?:#(?P<anchor>[^)\s]+))?\)")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and the site give the headings of a page."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    for link in LINK.finditer(page.read_text()):
        target = Path(os.path.normpath(page.parent / link["path"])) if link["path"] else page
        if not target.exists():
            yield f"{link['path']} does not exist"
        elif link["anchor"] and link["anchor"] not in anchors(target):
            yield f"{link['path']} has no heading #{link['anchor']}"


@every_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n[a](gone.md) [b](page.md#a-title) [c](#no-title) [d](https://example.org/x)\n")
    assert list(broken_links(page)) == ["gone.md does not exist", " has no heading #no-title"]


# A pattern that `make help` explains, a placeholder, and verbs that no message names
KNOWN = {
    "make bench-postgres-to-parquet: no such command",
    "make logs UNIT=<unit>: no such unit",
    "systemctl start: no such verb",
    "systemctl stop: no such verb",
}


@every_page
def test_every_command_variable_and_unit_exists(page: Path) -> None:
    prose = page.read_text()
    code = [*re.findall(r"^ *```.*?\n(.*?)^ *```", prose, re.MULTILINE | re.DOTALL), *re.findall(r"`([^`\n]+)`", prose)]
    assert {line for text in code for line in unknown(text)} - KNOWN == set()


@pytest.mark.parametrize("name", generate.pages(ROOT))
def test_generated_page_is_up_to_date(name: str) -> None:
    written = (ROOT / "docs/reference" / name).read_text()
    assert written == generate.pages(ROOT)[name], "run `make docs-reference`"


def test_every_page_is_on_a_shelf_of_the_site() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert [list(shelf) for shelf in navigation] == [["Start"], ["How-to"], ["Reference"], ["Why"]]
    entries = [entry for shelf in navigation for pages in shelf.values() for entry in pages]
    listed = {entry if isinstance(entry, str) else next(iter(entry.values())) for entry in entries}
    assert {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")} <= listed


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs/README.md"
    linked = {os.path.normpath(index.parent / link["path"]) for link in LINK.finditer(index.read_text())}
    assert {str(page) for page in PAGES} - {str(index)} <= linked


@pytest.mark.parametrize("option", ["prefect_worker_pools[].limit", "proxy_tls_mode", "backup_passphrase"])
def test_settings_of_all_roles_and_their_parts_are_listed(option: str) -> None:
    assert f"| `{option}` |" in generate.settings(ROOT / "ansible")


def test_a_secret_setting_is_marked(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    options = {"a_password": {"description": "The password.", "type": "str", "required": True, "no_log": True}}
    spec = {"argument_specs": {"main": {"short_description": "A part.", "options": options}}}
    (tmp_path / "meta/argument_specs.yml").write_text(yaml.safe_dump(spec))
    assert "| `a_password` | str | required | The password. Secret. |" in generate.settings(tmp_path)


def test_commands_stand_under_the_sections_of_the_makefile() -> None:
    page = generate.commands("help: ## This list\n# --- flows ---\nplan: x ## What would change: [A=b|c]\nhidden:\n")
    assert "## Help\n\n| command | what it does |\n| --- | --- |\n| `make help` | This list |" in page
    assert (
        "## Flows\n\n| command | what it does |\n| --- | --- |\n| `make plan` | What would change: [A=b\\|c] |" in page
    )
    assert "hidden" not in page


def test_every_field_of_a_target_is_described() -> None:
    rows = re.findall(r"^\| `\w+` \| .* \| (.*) \|$", generate.targets(), re.MULTILINE)
    assert len(rows) == 8
    assert all(rows)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "whole number"),
        ({"type": "array", "items": {"type": "string"}}, "list of text"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or null"),
        ({"const": "paused"}, "`paused`"),
        ({"enum": ["a", "b"]}, "`a` or `b`"),
        ({"$ref": "#/$defs/EventTrigger"}, "event trigger"),
        ({}, "any value"),
    ],
)
def test_a_schema_in_words(schema: dict[str, object], text: str) -> None:
    assert generate.type_text(schema) == text
