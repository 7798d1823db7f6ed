"""The abridged output of the demo in README.md, cut from a log of a real one.

    make demo 2>&1 | tee demo.log
    python tests/docs/demo_block.py demo.log

Everything between `<!-- demo -->` and `<!-- /demo -->` is replaced. Progress and some tables are
left out; nothing is altered but the path of the demo's folder.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from doclab import read_page

BLOCK = re.compile(r"(<!-- demo -->\n).*?(<!-- /demo -->)", re.DOTALL)
SHOWN = (("demo: ", "Each model (row)"), ("The shared model continues", "real\t"))
"""Each part that is shown: how its first line begins, and the line that it ends before."""
_FOLDER = re.compile(r"/\S+(?=/(?:runs|releases|observatory)/)")


def abridged(log: str) -> str:
    """The parts of a demo's output that are shown, with a mark between them."""
    lines = [line.rstrip() for line in log.splitlines()]
    parts = ["\n".join(_part(lines, first, before)).strip("\n") for first, before in SHOWN]
    return _FOLDER.sub("demo", "\n\n…\n\n".join(parts))


def _part(lines: list[str], first: str, before: str) -> Iterator[str]:
    inside = False
    for line in lines:
        inside = (inside or line.startswith(first)) and not line.startswith(before)
        if inside:
            yield line


def with_block(page: str, shown: str) -> str:
    """The page with another output."""
    return BLOCK.sub(lambda found: f"{found[1]}```text\n{shown}\n```\n{found[2]}", page)


if __name__ == "__main__":
    readme = read_page("README.md")
    log_ = Path(sys.argv[1]).read_text(encoding="utf-8")
    readme.path.write_text(with_block(readme.text, abridged(log_)), encoding="utf-8")
