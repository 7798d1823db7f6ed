"""Which papers there are, what each depends on, and their bytes."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from concord.base.canonical import canonical_json
from concord.base.errors import DocumentError
from concord.base.objects import ObjectStore
from concord.release.papers import eu_forms, forms
from concord.release.papers.bom import bom
from concord.release.papers.form import Form, Maker
from concord.release.papers.openness import mof_document, openness_words, osaid_words
from concord.release.papers.sections import Sections

if TYPE_CHECKING:
    from jinja2 import Environment

MISSING = "*missing*"
MAX_SHOWN = 600
_MARKED = str.maketrans({character: f"\\{character}" for character in "\\`*_[]|~#"})
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_UNSEEN = frozenset("\u200b\u2028\u2029\u2060\ufeff") | {chr(c) for c in range(0x202A, 0x202F)}
_UNSEEN |= {chr(c) for c in range(0x2066, 0x206A)}


@dataclass(frozen=True)
class Paper:
    """One paper: its path, the sections that it is made of, and how."""

    path: str
    needs: tuple[str, ...]
    make: Callable[[Sections], bytes]


def render(sections: Sections) -> dict[str, bytes]:
    """All papers by path. Each sees the sections that it names, and no others."""
    return {
        paper.path: paper.make({name: sections[name] for name in paper.needs}) for paper in PAPERS
    }


def records(sections: Sections, objects: ObjectStore) -> dict[str, bytes]:
    """The Croissant records themselves, where they are at hand."""
    return {
        f"croissant/{one['member']}/{one['dataset']}.json": objects.get(one["record"])
        for one in sections["datasets"]
        if one["facts"] is not None
    }


def write_papers(root: Path, papers: Mapping[str, bytes]) -> None:
    """Write papers into a release that is being built."""
    for path, data in papers.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def inert(value: object) -> str:
    """Text from a record as it can stand in a page: no HTML, no marks, no forced direction."""
    text = "".join(
        " " if one.isspace() else one
        for one in str(value)
        if one not in _UNSEEN and (one.isspace() or unicodedata.category(one) not in ("Cc", "Cs"))
    )
    text = text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
    return text.translate(_ENTITIES).translate(_MARKED)


def shown(value: object) -> Any:
    """A value of any shape, in words; what nobody said is missing."""
    if value is None or value in ("", [], {}):
        return _Safe(MISSING)
    if isinstance(value, Mapping):
        return _Safe("; ".join(f"{inert(key)}: {shown(one)}" for key, one in value.items()))
    if isinstance(value, list | tuple):
        return _Safe(", ".join(str(shown(one)) for one in value))
    if isinstance(value, int) and not isinstance(value, bool):
        return _Safe(f"{value:,}")
    return _Safe(inert(value))


class _Safe(str):
    """Text that was made inert already."""

    __slots__ = ()


def _printed(value: object) -> object:
    return value if isinstance(value, _Safe | int) else inert(value)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise DocumentError(
            "papers need jinja2, which is not installed", remedy="pip install 'concord[train]'"
        ) from error
    place = files("concord.release.papers") / "templates"
    made = Environment(
        loader=FunctionLoader(lambda name: (place / name).read_text(encoding="utf-8")),
        undefined=StrictUndefined,
        finalize=_printed,
        autoescape=False,  # noqa: S701
    )
    made.globals["shown"] = shown
    return made


def _text(template: str, **values: Any) -> bytes:
    return (_environment().get_template(template).render(**values).strip() + "\n").encode()


def _form(path: str, needs: tuple[str, ...], make: Maker) -> tuple[Paper, Paper]:
    def as_json(given: Sections) -> bytes:
        return canonical_json(make(given).to_json()) + b"\n"

    def as_text(given: Sections) -> bytes:
        form: Form = make(given)
        return _text("form.md.j2", form=form)

    return Paper(f"{path}.json", needs, as_json), Paper(f"{path}.md", needs, as_text)


def _card(given: Sections) -> bytes:
    languages = sorted({code for one in given["members"] for code in one["languages"]})
    return _text(
        "card.md.j2",
        **given,
        languages=languages or ["und"],
        openness=openness_words(given),
        osaid=osaid_words(given),
    )


def _json(given: Sections) -> bytes:
    return canonical_json(dict(given)) + b"\n"


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _licence(given: Sections) -> bytes:
    name = given["release"]["licence"]
    full = files("concord.release.papers") / "templates" / f"{name}.txt"
    if full.is_file():
        return full.read_bytes()
    return (
        f"SPDX-License-Identifier: {name}\n\nThe text of this licence: spdx.org/licenses\n".encode()
    )


_DATA = ("release", "architecture", "members", "datasets", "contact")
PAPERS: tuple[Paper, ...] = (
    Paper(
        "README.md",
        (
            "release",
            "architecture",
            "members",
            "datasets",
            "measurements",
            "gates",
            "compute",
        ),
        _card,
    ),
    Paper("LICENSE", ("release",), _licence),
    Paper("USE.md", ("release",), lambda given: _text("use.md.j2", **given)),
    Paper(
        "mof.yml",
        ("release", "members", "datasets", "measurements"),
        lambda given: _pretty(mof_document(given)),
    ),
    Paper(
        "bom.cdx.json",
        ("release", "architecture", "datasets", "measurements", "gates"),
        lambda given: _pretty(bom(given)),
    ),
    *_form("papers/eu-training-summary", _DATA, eu_forms.training_summary),
    *_form("papers/model-documentation", (*_DATA, "compute"), eu_forms.model_documentation),
    *_form("papers/copyright-policy", ("datasets", "gates", "contact"), forms.copyright_policy),
    *_form("papers/training-data-notice", ("members", "datasets"), forms.training_data_notice),
    Paper("papers/law-matrix.json", ("law",), _json),
    Paper("papers/contributions.json", ("members", "compute"), _json),
    Paper("papers/gates.json", ("gates",), _json),
    Paper("papers/decision.json", ("decision",), _json),
)
