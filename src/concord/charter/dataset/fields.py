"""Types of fields that a dataset record is written in."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from concord.charter.document import Identifier
from concord.charter.fields import plain_text

_LANGUAGE = re.compile(
    r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
)
_LICENCE = re.compile(r"(LicenseRef-)?[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
_PLACE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_EPSILON = re.compile(r"[0-9]{1,6}(\.[0-9]{1,4})?")
MAX_ENTRIES = 64


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value[:60]!r} is not {what}")
        return value

    return check


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("names one entry twice")
    return values


def _epsilon(value: object) -> Decimal:
    text = str(value) if isinstance(value, str | Decimal) else ""
    if not _EPSILON.fullmatch(text):
        raise ValueError("write a decimal as text, such as '8.0', with at most 4 places")
    return Decimal(text)


LanguageTag = Annotated[
    str,
    Field(max_length=35),
    AfterValidator(_matching(_LANGUAGE, "a language tag such as 'sw' or 'kk-Cyrl' (BCP 47)")),
]
Licence = Annotated[
    str, AfterValidator(_matching(_LICENCE, "a licence: an SPDX id, or 'LicenseRef-…' for others"))
]
Place = Annotated[
    str, AfterValidator(_matching(_PLACE, "a place such as 'KE' or 'IN-KL' (ISO 3166)"))
]
Epsilon = Annotated[Decimal, BeforeValidator(_epsilon), PlainSerializer(str)]
"""A privacy budget, as decimal text."""
Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(plain_text)]

Languages = Annotated[
    tuple[LanguageTag, ...], Field(min_length=1, max_length=MAX_ENTRIES), AfterValidator(_distinct)
]
Licences = Annotated[
    tuple[Licence, ...], Field(min_length=1, max_length=MAX_ENTRIES), AfterValidator(_distinct)
]
Places = Annotated[
    tuple[Place, ...], Field(min_length=1, max_length=MAX_ENTRIES), AfterValidator(_distinct)
]
Names = Annotated[
    tuple[Identifier, ...], Field(min_length=1, max_length=MAX_ENTRIES), AfterValidator(_distinct)
]
Lines = Annotated[tuple[Line, ...], Field(min_length=1, max_length=MAX_ENTRIES)]
