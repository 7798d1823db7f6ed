"""Where in a text there are numbers: the only places that most detectors have to look at.

An area is a stretch of digits, capitals and the marks that are written between them. Digits of all
scripts count, and are read as ASCII; positions stay what they are.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_MARKS = r" ().,/:\-\u00a0\u2010\u2011\u2013"
_AREA = re.compile(rf"\d[\dA-Z{_MARKS}]*")
_BEFORE = re.compile(r"[A-Z+(\uff0b]{1,8} ?$")
_TO_ASCII = {
    code: str(unicodedata.decimal(chr(code)))
    for code in range(128, sys.maxunicode + 1)
    if chr(code).isdecimal()
} | {0xFF0B: "+", 0xA0: " ", 0x2010: "-", 0x2011: "-", 0x2013: "-"}
MIN_DIGITS, MIN_DIGITS_AFTER_CAPITALS = 6, 4
"""The shortest numbers that are looked for: India's PAN has four digits, after five capitals."""
MAX_AREA = 2_000
"""Characters looked at together; a longer row of numbers is a table, taken in parts."""
OVERLAP = 40


@dataclass(frozen=True, slots=True)
class Area:
    """A stretch of a text, with one character more at either end, so that a word's end shows."""

    text: str
    offset: int
    """Place of the first character in the whole text."""


def areas(text: str) -> Iterator[Area]:
    """Stretches of `text` that hold enough digits to be one of the numbers, in order."""
    for found in _AREA.finditer(text):
        begin, end = found.span()
        after_capitals = text[begin - 1 : begin].isupper()
        needed = MIN_DIGITS_AFTER_CAPITALS if after_capitals else MIN_DIGITS
        if end - begin < needed:
            continue
        before = _BEFORE.search(text, max(0, begin - 8), begin)
        if before is not None:
            begin = before.start()
        for start in range(begin, end, MAX_AREA - OVERLAP):
            first, last = max(0, start - 1), min(start + MAX_AREA, end) + 1
            part = text[first:last]
            if not part.isascii():
                part = part.translate(_TO_ASCII)
            if sum(map(part.count, "0123456789")) >= needed:
                yield Area(part, first)
            if last > end:
                break
