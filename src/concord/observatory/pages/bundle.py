"""The folder of pages: written whole beside its place, then moved there.

    index.html citizen.html members.html member-<id>.html auditor.html regulator.html
    training.html decisions.html check.html      in English, each with its .json beside it
    fr/ ar/ …                                    the same pages in other languages
    style.css proof.js check.js                  one style sheet; two scripts, for check.html alone
    data/                                        the log, in files that check.html can load

Nothing in it is fetched from elsewhere, and all of it works from a folder on disk.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from concord.base.errors import DocumentError
from concord.base.files import storage_errors
from concord.observatory.page import stylesheet
from concord.observatory.pages import drawing
from concord.observatory.pages.auditor import auditor
from concord.observatory.pages.checking import check_files
from concord.observatory.pages.decisions import decisions
from concord.observatory.pages.language import FIRST, Language, shortened
from concord.observatory.pages.member import member
from concord.observatory.pages.people import people
from concord.observatory.pages.public import citizen, front
from concord.observatory.pages.regulator import regulator
from concord.observatory.pages.render import MAX_NAME, render, to_json
from concord.observatory.pages.source import Source
from concord.observatory.pages.training import training
from concord.observatory.pages.worldmap import world_map

MARK = ".concord-observatory"
"""Lies in a folder that was made here, so that only such a one is ever replaced."""
ASSETS = ("proof.js", "check.js")


@dataclass(frozen=True)
class Page:
    """One page, before it has a language."""

    name: str
    template: str
    title: str
    """Key of its title among the messages; empty for a member's page, named by the member."""
    view: Any


@dataclass(frozen=True)
class Built:
    """What was made."""

    pages: int
    languages: int
    files: int
    bytes: int


def build(source: Source, languages: Mapping[str, Language], out: Path) -> Built:
    """Make the folder, in place of an earlier one.

    Raises:
        DocumentError: `out` holds something else.
        StorageError: the disk is full or the folder cannot be written.
        PolicyRefused: the law files cannot be asked.
    """
    check_place(out)
    making = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    count, total = 0, 0
    try:
        with storage_errors(making):
            for name, data in bundle_files(source, languages):
                path = making / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                count, total = count + 1, total + len(data)
            _swap(making, out)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Built(len(pages(source)), len(languages), count, total)


def check_place(out: Path) -> None:
    """Refuse a folder that holds what was not made here.

    Raises:
        DocumentError: it does.
    """
    if out.exists() and not (out / MARK).exists() and (not out.is_dir() or any(out.iterdir())):
        raise DocumentError(
            "holds other things",
            where=out,
            remedy="name a new folder, or one that `concord observe` made",
        )


def bundle_files(source: Source, languages: Mapping[str, Language]) -> Iterator[tuple[str, bytes]]:
    """Every file with its path in the folder."""
    yield MARK, b""
    yield "style.css", _stylesheet()
    assets = files("concord.observatory.pages").joinpath("assets")
    for name in ASSETS:
        yield name, assets.joinpath(name).read_bytes()
    yield from check_files(source)
    made = pages(source)
    for page in made:
        yield f"{page.name}.json", to_json(page.view)
    for code, language in languages.items():
        shared = _context(source, languages, language)
        for page in made:
            context = {**shared, **_drawings(page, language), "page": page.name, "view": page.view}
            context["title"] = (
                language.say(page.title)
                if page.title
                else shortened(page.view.person.name, MAX_NAME)
            )
            yield f"{folder_of(code)}{page.name}.html", render(page.template, language, context)


def pages(source: Source) -> tuple[Page, ...]:
    """All pages and what they show."""
    overview = front(source)
    return (
        Page("index", "index.html", "index.title", overview),
        Page("citizen", "citizen.html", "nav.citizen", citizen(source)),
        Page("members", "members.html", "nav.members", overview),
        Page("auditor", "auditor.html", "nav.auditor", auditor(source)),
        Page("regulator", "regulator.html", "nav.regulator", regulator(source)),
        Page("training", "training.html", "nav.training", training(source)),
        Page("decisions", "decisions.html", "nav.decisions", decisions(source)),
        Page("check", "check.html", "nav.check", overview),
        *(Page(one.page, "member.html", "", member(source, one)) for one in people(source)),
    )


def folder_of(code: str) -> str:
    """Where a language's pages lie below the top."""
    return "" if code == FIRST else f"{code}/"


def _context(
    source: Source, languages: Mapping[str, Language], language: Language
) -> dict[str, Any]:
    """What every page of one language is given."""
    up = "" if language.code == FIRST else "../"
    return {
        "all_languages": languages,
        "places": {code: f"{up}{folder_of(code)}" for code in languages},
        "up": up,
        "name": source.state.name,
        "federation": source.state.federation,
        "when": language.moment(source.made),
        "entries": len(source.entries),
        "live": source.live,
        "known": {name: source.name_of(name) for name in source.state.members},
        "halts": [
            halt
            for halt in source.state.halts.values()
            if halt.scope == "all" and not halt.lifted and halt.until > source.made
        ],
        "words": {
            key.removeprefix("check."): text
            for key, text in language.messages.items()
            if key.startswith("check.")
        },
    }


def _drawings(page: Page, language: Language) -> dict[str, Any]:
    """What is drawn on a page."""
    view = page.view
    match page.template:
        case "index.html":
            return {
                "map": world_map(view.members, language),
                "strips": drawing.gain_strips(view.members),
            }
        case "citizen.html":
            return {"strips": drawing.gain_strips(view.members)}
        case "auditor.html":
            return {"tree_drawing": drawing.tree(view.tree.levels)}
        case "training.html":
            return {
                "mean_curve": lambda run: drawing.mean_curve(run, language),
                "panel": lambda curve, run: drawing.panel(curve, run, language),
            }
        case "decisions.html":
            return {"roll": drawing.roll}
    return {}


def _stylesheet() -> bytes:
    own = files("concord.observatory.pages").joinpath("assets/site.css").read_text("utf-8")
    return f"{stylesheet()}\n{own}".encode()


def _swap(making: Path, out: Path) -> None:
    """Put the new folder in the place of the old one."""
    if not out.exists():
        making.rename(out)
        return
    old = out.with_name(f"{making.name}.old")
    out.rename(old)
    making.rename(out)
    shutil.rmtree(old, ignore_errors=True)
