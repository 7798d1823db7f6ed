"""Telephone numbers, after the numbering plans of all countries (`phonenumbers`).

With a country's code (+ or 00) a number is known for what it is. Without one it is a number like
any other: it counts if the plan of a country in question knows it, and if it is written as one,
with a trunk prefix or in groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import phonenumbers

Span = tuple[int, int]

_INTERNATIONAL = re.compile(
    r"(?<![\w+])(?:\+|00[ -]?)[1-9](?:[ ().\-/]{0,2}\d){6,14}(?!\w)", re.ASCII
)
_NATIONAL = re.compile(
    r"(?<![\w+.,/:-])\(?\d{1,12}(?:(?:\)[ -]?| ?[-/.] ?| )\d{1,8}){0,4}(?![\w]|[.,:/-]\d)",
    re.ASCII,
)
_YEAR = r"(?:1[3-9]|2[0145])\d\d"
"""Of the common calendars: solar and lunar Hijri, Gregorian, Buddhist."""
_OTHER = re.compile(
    rf"\d{{1,2}} ?([./ -]) ?\d{{1,2}} ?\1 ?{_YEAR}(?!\d)|\d ?/ ?\d{{1,3}} ?/ ?{_YEAR}(?!\d)"
    rf"|{_YEAR} ?([./ -]) ?\d{{1,2}} ?\2 ?\d{{1,2}}"
    rf"|{_YEAR} ?[-/] ?{_YEAR}|^\(\d{{3,4}} ?- ?\d{{3,4}}$"  # days; from one year to another
    r"|(?:[01]?\d|2[0-3])[.:][0-5]\d ?- ?(?:[01]?\d|2[0-3])[.:][0-5]\d"  # times
    rf"|^(?:{_YEAR} )?[1-9]\d{{0,2}}(?: \d{{3}})+$"  # large numbers, perhaps after a year
    r"|^[1-9]\d{0,2}(?: \d{3})+ ?- ?[1-9]\d{0,2}(?: \d{3})+$"  # from one to another
    r"|^\d{1,3}(?:\.\d{1,3}){3}$"  # an address in a network
    r"|^[1-9]\d?(?: \d\d)+$"  # rows of numbers
)
_SEPARATOR = re.compile(r"(?<=\d)[ ().\-/]+(?=\d)")
MIN_DIGITS, MAX_DIGITS = 8, 12


def international(text: str) -> Iterator[Span]:
    """Numbers with a country's code."""
    for found in _INTERNATIONAL.finditer(text):
        number = found[0]
        if not number.startswith("+"):
            number = "+" + number[2:].lstrip(" -")
        while sum(map(str.isdigit, number)) >= 7:
            if _is_valid(number, None):
                lost = len(found[0].rstrip()) - len(found[0]) + _written_less(found[0], number)
                yield found.start(), found.end() - lost
                break
            number = number.rstrip("0123456789").rstrip(" ().-/")  # another number may follow


def national(text: str, regions: Sequence[str]) -> Iterator[Span]:
    """Numbers without a country's code, as they are written in any of the regions."""
    for found in _NATIONAL.finditer(text):
        number = found[0]
        digits = sum(map(str.isdigit, number))
        if not MIN_DIGITS <= digits <= MAX_DIGITS or _OTHER.search(number):
            continue
        groups = len(_SEPARATOR.findall(number)) + 1
        if not (number[0] in "0(" or groups == 3):
            continue
        if any(_is_valid(number, region) for region in regions):
            yield found.span()


def _is_valid(number: str, region: str | None) -> bool:
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    if region is None:
        return bool(phonenumbers.is_valid_number(parsed))
    return bool(phonenumbers.is_valid_number_for_region(parsed, region))


def _written_less(whole: str, part: str) -> int:
    """Characters at the end of `whole` that `part`, its beginning in another form, leaves out."""
    head = whole if whole.startswith("+") else "+" + whole[2:].lstrip(" -")
    return len(head) - len(part)
