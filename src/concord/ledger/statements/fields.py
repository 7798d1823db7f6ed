"""Types of fields that statements share. No floats: two readers could print them differently."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from concord.base.digest import Digest
from concord.charter.document import Document, Identifier
from concord.charter.fields import KeyText as KeyText

MAX_PARTIES = 512


def _real(value: object) -> float:
    if isinstance(value, float):
        number = value
    elif isinstance(value, str):
        number = float(value)
        if repr(number) != value:
            raise ValueError("is not the shortest decimal form of a number")
    else:
        raise ValueError("write a decimal number as text")
    if not math.isfinite(number):
        raise ValueError("is not finite")
    return number


def _printable(value: str) -> str:
    if any(not c.isprintable() and c not in "\n\t" for c in value):
        raise ValueError("holds control or invisible characters")
    return value


Real = Annotated[float, BeforeValidator(_real), PlainSerializer(repr)]
"""A measured number, written as text in its shortest exact decimal form."""
DigestText = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
BigCount = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,39})$")]
"""A count that may pass 2^53, as decimal digits."""
Line = Annotated[str, Field(max_length=300), AfterValidator(_printable)]
LongText = Annotated[str, Field(max_length=16_000), AfterValidator(_printable)]
UnixTime = Count
PerMember = Annotated[dict[Identifier, Count], Field(max_length=MAX_PARTIES)]


class Body(Document):
    """What a kind of statement says. `KIND` and `VERSION` name its type on the wire."""

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1
    NEEDS_RUN: ClassVar[bool] = False
    """Whether the statement belongs to a run, and must name it."""
    NEEDS_ROUND: ClassVar[bool] = False

    def subjects(self) -> Mapping[str, Digest]:
        """What the statement speaks of, by name; empty means the federation itself."""
        return {}
