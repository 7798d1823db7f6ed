"""Patterns that are the same everywhere: e-mail and network addresses, accounts, payment cards."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from stdnum import iban, luhn

Span = tuple[int, int]

_AT = re.compile("[@\uff20]")
# Thai, Lao, Tibetan, Burmese, Khmer, Kana, Han, Hangul: words of these touch an address.
_TOUCHING = "\u0e00-\u109f\u1780-\u17ff\u3040-\u9fff\uac00-\ud7af"
_LETTER = rf"[^\W_{_TOUCHING}]"
_LOCAL = re.compile(rf"{_LETTER}(?:{_LETTER}|[_.+%-]){{0,63}}\Z")
_LABEL = rf"{_LETTER}(?:(?:{_LETTER}|-){{0,61}}{_LETTER})?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+[^\W\d_{_TOUCHING}]{{2,24}}")
_TOUCHING_LOCAL = re.compile(r"[\w.+%-]{1,64}\Z")
_TOUCHING_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}")
_IP4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)", re.ASCII)
_IP6_SEED = re.compile(":[0-9A-Fa-f]{0,4}:")
_IP6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?![\w:])", re.ASCII)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}(?!00|01|99)\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)", re.ASCII)
_CARD = re.compile(
    r"(?<![\w.,-])(?:\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{13,19})(?![\w-]|[.,]\d)", re.ASCII
)
_NETWORK = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7]|35)\d{14}|3[47]\d{13}|6(?:\d{15}|\d{18})"
)
SMALL_OCTET = 32
"""Four numbers of which three are below this are a paragraph's more often than an address."""


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses with letters of all scripts (RFC 6531), of the marks only `. + % - _`."""
    for at in _AT.finditer(text):
        before = text, max(0, at.start() - 64), at.start()
        after = text, at.end(), at.end() + 255
        local = _LOCAL.search(*before) or _TOUCHING_LOCAL.search(*before)
        domain = _DOMAIN.match(*after) or _TOUCHING_DOMAIN.match(*after)
        if local is not None and domain is not None:
            yield local.start(), domain.end()


def ip4(text: str) -> Iterator[Span]:
    """Public addresses of version 4; private and reserved ones name nobody."""
    for found in _IP4.finditer(text):
        large = sum(int(octet) >= SMALL_OCTET for octet in found[0].split("."))
        if large > 1 and _is_public(found[0]):
            yield found.span()


def ip6(text: str) -> Iterator[Span]:
    """Public addresses of version 6."""
    done = 0
    for seed in _IP6_SEED.finditer(text):
        if seed.start() < done:
            continue
        begin = max(0, seed.start() - 40)
        for found in _IP6.finditer(text, begin, seed.start() + 41):
            if found.start() <= seed.start() < found.end() and _is_public(found[0]):
                yield found.span()
                done = found.end()


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def ibans(text: str) -> Iterator[Span]:
    """International bank account numbers (ISO 13616), by check digits and country's form."""
    for found in _IBAN.finditer(text):
        number = found[0]
        while len(number) >= 15:  # words in capitals may follow
            if iban.is_valid(number, check_country=False):
                yield found.start(), found.start() + len(number)
                break
            number = number.rpartition(" ")[0]


def cards(text: str) -> Iterator[Span]:
    """Payment cards: prefix and length of a network, and Luhn's check digit (ISO/IEC 7812)."""
    for found in _CARD.finditer(text):
        digits = re.sub("[ -]", "", found[0])
        if _NETWORK.fullmatch(digits) and luhn.is_valid(digits):
            yield found.span()
