"""What the documentation points at exists: links, headings, paths, make targets."""

from __future__ import annotations

import re
from fnmatch import translate
from pathlib import Path

import pytest
from doclab import ROOT, Page, commands, pages

PAGES = pages()
IDS = [page.name for page in PAGES]
_PATH = re.compile(r"(?:src|docs|tests|benchmarks)/[\w./*-]*|[\w-]+\.(?:lock|toml)|Makefile")
_MODULE = re.compile(r"concord(?:\.[a-z_]+)+")
_NAMED_ELSEWHERE = frozenset({"member.toml", "charter.toml", "privacy.toml"})


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_relative_links_lead_somewhere(page: Page) -> None:
    broken = [link for link in page.links() if not _leads_somewhere(page, link)]
    assert broken == []


def _leads_somewhere(page: Page, link: str) -> bool:
    if link.startswith("https://"):
        return True
    target, _, anchor = link.partition("#")
    path = (page.path.parent / target).resolve() if target else page.path
    if not path.is_relative_to(ROOT) or not path.exists():
        return False
    if not anchor:
        return True
    return anchor in Page(path, path.read_text(encoding="utf-8")).anchors()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_paths_in_the_repository_exist(page: Page) -> None:
    named = [code for code in page.code() if _PATH.fullmatch(code)]
    assert [path for path in named if path not in _NAMED_ELSEWHERE and not _exists(path)] == []


def _exists(path: str) -> bool:
    if "*" in path:
        pattern = re.compile(translate(path))
        return any(pattern.match(p.relative_to(ROOT).as_posix()) for p in ROOT.glob("*/**/*"))
    return (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_modules_exist(page: Page) -> None:
    named = [code for code in page.code() if _MODULE.fullmatch(code)]
    missing = [name for name in named if not _is_module(ROOT / "src" / name.replace(".", "/"))]
    assert missing == []


def _is_module(path: Path) -> bool:
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_make_targets_exist(page: Page) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    shown = [*page.code(), *(command for command, _ in commands(page))]
    named = [found[1] for code in shown if (found := re.match(r"make ([a-z-]+)", code))]
    assert [target for target in named if target not in targets] == []


def test_readme_maps_every_package() -> None:
    packages = {path.parent.name for path in (ROOT / "src/concord").glob("*/__init__.py")}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `src/concord/(\w+)` \|", readme, re.MULTILINE)) == packages


def test_every_decision_is_listed() -> None:
    records = {path.name for path in (ROOT / "docs/adr").glob("0*.md")}
    listed = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\((0[\w-]+\.md)\)", listed)) == records


def test_every_page_can_be_reached_from_the_readme() -> None:
    by_path = {page.path: page for page in PAGES}
    seen, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = by_path.get(waiting.pop())
        if page is None or page.path in seen:
            continue
        seen.add(page.path)
        for target in filter(None, (link.partition("#")[0] for link in page.links())):
            path = (page.path.parent / target).resolve()
            waiting += path.glob("*.md") if path.is_dir() else [path]
    assert [page.name for page in PAGES if page.path not in seen] == []
