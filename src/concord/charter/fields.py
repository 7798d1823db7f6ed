"""Values that a charter is written in: times, dates, texts, and shares that must be reached.

Everything is exact: whole seconds, whole days, fractions. A number with a point is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from concord.base.errors import KeyRefused
from concord.charter.document import Document, ExactFraction
from concord.crypto.keys import PublicKey

MAX_DURATION_S = 100 * 365 * 86_400
_DURATION = re.compile(r"([0-9]{1,10}) ?([smhdw])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOG10 = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,2})?")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Controls, forced directions, zero-width spaces. Joiners and direction marks stay: scripts need
them. Listed rather than taken from a Unicode version, so that all readers refuse the same."""


def _seconds(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        seconds = int(found[1]) * _UNITS_S[found[2]]
    else:
        raise ValueError("write whole seconds, or a text such as '72h', '30d', '15m'")
    if not 0 <= seconds <= MAX_DURATION_S:
        raise ValueError("a time must lie between 0 and 100 years")
    return seconds


def _day(value: object) -> date:
    if type(value) is date:
        return value
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("write a day such as '2031-12-31'")
    return date.fromisoformat(value)


def _log10(value: object) -> Decimal:
    text = str(value) if isinstance(value, str | Decimal) else ""
    if not _LOG10.fullmatch(text):
        raise ValueError("write a decimal logarithm as text, such as '23.0' or '25.45'")
    return Decimal(text)


def _key(value: str) -> str:
    try:
        return PublicKey.parse(value).text
    except KeyRefused as error:
        raise ValueError(error.message) from error


def plain_text(value: str) -> str:
    """Return `value` if it reads as it is written.

    Raises:
        ValueError: it holds a control or a forced direction: two readers could see two texts.
    """
    if found := _UNSEEN.search(value):
        raise ValueError(f"holds the unseen character U+{ord(found[0]):04X}; remove it")
    return value


Duration = Annotated[int, BeforeValidator(_seconds)]
"""Seconds; written as a whole number or as text with one unit of s, m, h, d, w."""
Day = Annotated[date, BeforeValidator(_day), PlainSerializer(date.isoformat)]
"""A day of the calendar; it begins at 00:00 UTC."""
Text = Annotated[str, Field(min_length=1, max_length=4_000), AfterValidator(plain_text)]
KeyText = Annotated[str, AfterValidator(_key)]
"""A public key."""


Flops = Annotated[Decimal, BeforeValidator(_log10), PlainSerializer(str)]
"""Decimal logarithm of an amount of FLOP, as text with at most two places."""


def day_begins_s(day: date) -> float:
    """Seconds since 1970 at which a day begins, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


class Threshold(Document):
    """A share to be reached, `{min = "2/3"}` or `"2/3"` for short, or exceeded, `{over = "1/2"}`.

    Half is the case that matters: with `min` a tie passes, with `over` it does not.
    """

    over: ExactFraction | None = None
    """More than this share."""
    min: ExactFraction | None = None
    """At least this share."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"min": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if (self.over is None) == (self.min is None):
            raise ValueError("give either 'min' (at least) or 'over' (more than)")
        if self.over is not None and not 0 <= self.over < 1:
            raise ValueError("over must be at least 0 and below 1")
        if self.min is not None and not 0 < self.min <= 1:
            raise ValueError("min must be above 0 and at most 1")
        return self

    def met(self, part: Fraction) -> bool:
        """Whether a share of the whole is enough."""
        if self.over is not None:
            return part > self.over
        return self.min is not None and part >= self.min

    def needed(self, count: int) -> int:
        """The least whole number out of `count` that is enough; 0 of nobody."""
        if self.over is not None:
            return int(self.over * count // 1) + 1 if count else 0
        return -int(-(self.min or Fraction(0)) * count // 1)

    @property
    def words(self) -> str:
        return f"more than {self.over}" if self.over is not None else f"at least {self.min}"
