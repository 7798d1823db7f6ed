"""The documentation as tests see it: its pages, their links, their fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page of the documentation."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """Contents of the fenced blocks of a language."""
        return [body for found, body in _FENCE.findall(self.text) if found == language]

    def links(self) -> list[str]:
        """Targets of links, as written."""
        return _LINK.findall(self.prose)

    def code(self) -> list[str]:
        """What stands between single backticks."""
        return _CODE.findall(self.prose)

    def anchors(self) -> set[str]:
        """Names under which headings can be linked to, as the usual renderers make them."""
        plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(self.prose))
        return {title.replace(" ", "-") for title in plain}

    def section(self, title: str) -> str:
        """The text under a heading, up to the next heading of any level.

        Raises:
            KeyError: the page has no such heading.
        """
        parts = re.split(r"^#+ (.+)$", self.text, flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def read_page(name: str) -> Page:
    path = ROOT / name
    return Page(path, path.read_text(encoding="utf-8"))


def pages() -> list[Page]:
    """All pages, sorted by name."""
    found = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [read_page(path.relative_to(ROOT).as_posix()) for path in found]


def commands(page: Page) -> Iterator[tuple[str, list[str]]]:
    """Commands of the page's `console` blocks, each with the lines of output shown under it."""
    for block in page.blocks("console"):
        command, output = "", list[str]()
        for line in block.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, output
                command, output = line.removeprefix("$ "), []
            else:
                output.append(line)
        if command:
            yield command, output


def table_rows(text: str) -> list[list[str]]:
    """Cells of the Markdown tables in a text, headings and rules left out."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [
        row
        for number, row in enumerate(rows)
        if not _is_rule(row) and not (number + 1 < len(rows) and _is_rule(rows[number + 1]))
    ]


def _is_rule(row: list[str]) -> bool:
    return all(re.fullmatch(r":?-+:?", cell) for cell in row)
