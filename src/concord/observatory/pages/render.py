"""From what a page shows to HTML and JSON: templates, filters, and the one way to write values.

Every string of the log is made inert and escaped on its way into a page. JSON is plain ASCII, so
that no direction mark or control lies in a file as itself.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from concord.charter.run import Document
from concord.observatory import rows, words
from concord.observatory.pages import drawing
from concord.observatory.pages.language import Language, shortened
from concord.observatory.pages.training import thinned

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none';"
    " form-action 'none'"
)
"""Content security policy of every page: nothing from elsewhere, nothing inline."""
MAX_WORDS = 4_000


def render(template: str, language: Language, context: Mapping[str, Any]) -> bytes:
    """One page in one language."""
    environment = _environment(language.code)
    filters = _filters(language)
    environment.filters.update(filters)
    told = {
        "lang": language,
        "t": language.say,
        "policy": POLICY,
        "signs": drawing.CHOICES,
        "spent_bar": drawing.spent_bar,
        "compute_bar": drawing.compute_bar,
        **context,
    }
    return environment.get_template(template).render(told).encode()


def to_json(value: object) -> bytes:
    """What a page shows, as JSON for scripts."""
    text = json.dumps(_plain(value), indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return text.encode() + b"\n"


@cache
def _environment(_: str) -> Environment:
    """One for each language, for its filters."""
    return Environment(
        loader=PackageLoader("concord.observatory.pages", "templates"),
        autoescape=True,
        finalize=_inert,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _filters(language: Language) -> dict[str, Any]:
    return {
        "plain": language.number,
        "bits": lambda value: language.number(value, 2),
        "change": language.change,
        "day": language.day,
        "date": lambda text: language.day(_begins(text)),
        "moment": language.moment,
        "territory": language.territory,
        "language": language.language,
        "quantity": words.quantity,
        "bytes": words.byte_size,
        "spans": rows.spans,
        "cut": lambda text: shortened(str(text)),
        "market": lambda code: f" --market {code}",
        "thinned": thinned,
    }


def _begins(text: str) -> float | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if text else None


def _inert(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Markup):
        return shortened(words.inert(value, keep="\n\t"), MAX_WORDS)
    return value


def _plain(value: object) -> object:
    """What JSON can say of a value; drawings are left out."""
    match value:
        case Markup():
            return None
        case Document():
            return value.model_dump(mode="json")
        case Fraction() | Decimal() | date():
            return str(value)
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case tuple() | list():
            return [_plain(one) for one in value]
        case int() if abs(value) >= 2**53:
            return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (one.name for one in dataclasses.fields(value))
        return {name: _plain(getattr(value, name)) for name in names}
    return value
