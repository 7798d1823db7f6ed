"""From what a page shows to HTML and JSON: templates, filters, and the one way to write values.

Every string of the log is made inert and escaped on its way into a page. JSON is plain ASCII, so
that no direction mark or control lies in a file as itself.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from concord.charter.document import Document
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
MAX_NAME = 60
"""Characters of a member's name on a page; its own data holds all."""


def render(template: str, language: Language, context: Mapping[str, Any]) -> bytes:
    """One page in one language."""
    told = {
        "lang": language,
        "t": language.say,
        "policy": POLICY,
        "signs": drawing.CHOICES,
        "spent_bar": drawing.spent_bar,
        "compute_bar": drawing.compute_bar,
        **context,
    }
    return _environment().get_template(template).render(told).encode()


def to_json(value: object) -> bytes:
    """What a page shows, as JSON for scripts."""
    text = json.dumps(_plain(value), indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return text.encode() + b"\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("concord.observatory.pages", "templates"),
        autoescape=True,
        finalize=_inert,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: _in_language(write) for name, write in _WRITERS.items()}
    environment.filters |= {
        "quantity": words.quantity,
        "bytes": words.byte_size,
        "spans": rows.spans,
        "cut": lambda text: shortened(str(text)),
        "brief": lambda text: shortened(str(text), MAX_NAME),
        "market": lambda code: f" --market {code}",
        "thinned": thinned,
    }
    return environment


_WRITERS: dict[str, Callable[[Language, Any], str]] = {
    "plain": lambda language, value: language.number(value),
    "bits": lambda language, value: language.number(value, 2),
    "change": lambda language, value: language.change(value),
    "day": lambda language, value: language.day(value),
    "date": lambda language, value: language.day(_begins(value)),
    "moment": lambda language, value: language.moment(value),
    "territory": lambda language, value: language.territory(value),
    "language": lambda language, value: language.language(value),
}


def _in_language(write: Callable[[Language, Any], str]) -> Callable[[Context, Any], str]:
    """A filter that writes as the page's language does; templates are compiled once for all."""

    @pass_context
    def written(context: Context, value: Any) -> str:
        return write(context["lang"], value)

    return written


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
