"""How the repository's Markdown becomes the site: pages from the top folder, and links between files.

Links are written for a reader of the repository. On the site, links to pages lead there; the name of any other file,
such as `monitoring/rules.yml`, stays without a link.
"""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError  # type: ignore[import-not-found]
from mkdocs.structure.files import File, Files  # type: ignore[import-not-found]

ROOT = Path(__file__).parents[1]
# Pages of the site by the files of the top folder
TOP = {
    "README.md": "start.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "STYLE.md": "style.md",
}
SOURCES = {page: name for name, page in TOP.items()}
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the top folder."""
    for name, page in TOP.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Change the links of a page to those of the site; raises PluginError for a file that does not exist."""
    uri: str = page.file.src_uri
    source = Path(SOURCES.get(uri, f"docs/{uri}"))

    def link(match: re.Match[str]) -> str:
        path = os.path.normpath(source.parent / match["path"])
        if not (ROOT / path).exists():
            raise PluginError(f"{source}: {match['path']} does not exist: correct the link")
        target = TOP.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if target is None:
            return match["text"]
        return f"[{match['text']}]({os.path.relpath(target, Path(uri).parent)}{match['anchor'] or ''})"

    return LINK.sub(link, markdown)
