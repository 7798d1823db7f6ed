"""Documents: frozen data that refuses unknown keys, and what their fields are made of."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from concord.base.errors import DocumentError
from concord.base.identifiers import check_identifier

_FRACTION = re.compile(r"-?[0-9]{1,18}(?:/[0-9]{1,18}|\.[0-9]{1,18})?")
"""No exponent: `1e999999999` would fill the memory before it could be refused."""


def _fraction(value: object) -> Fraction:
    if isinstance(value, float):
        raise ValueError("write an exact fraction as a string, such as '1/3'")
    if isinstance(value, Fraction):
        return value
    text = value if isinstance(value, str) else repr(value)
    if not _FRACTION.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a fraction such as '1/3'")
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise ValueError(f"{text!r} is not a fraction such as '1/3'") from error


def _identifier(value: str) -> str:
    try:
        return check_identifier(value)
    except DocumentError as error:
        raise ValueError(str(error)) from error


Identifier = Annotated[str, AfterValidator(_identifier)]
ExactFraction = Annotated[Fraction, BeforeValidator(_fraction), PlainSerializer(str)]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Document(BaseModel):
    """Base of all documents: immutable, strict about keys and non-finite numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True
    )


def describe(error: ValidationError) -> str:
    """All faults of a document, each with its field."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(str(part) for part in fault["loc"]) or "document"
        message = fault["msg"].removeprefix("Value error, ")
        faults.append(
            f"{field}: {'unknown key' if fault['type'] == 'extra_forbidden' else message}"
        )
    return "; ".join(faults)
