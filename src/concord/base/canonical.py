"""Canonical JSON (RFC 8785): the one form of a document that is digested and, later, signed.

Reading is strict: a duplicate key, NaN or an oversized text is refused, because two
readers could otherwise see two documents behind one digest. What was signed is read by
`parse_canonical`, which accepts the canonical bytes of a document and nothing else.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import rfc8785

from concord.base.errors import DocumentError

Json = Any
MAX_JSON_BYTES = 16 << 20
MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1  # beyond it some readers of JSON round
_BOM = b"\xef\xbb\xbf"
# A string, closed or not, is taken whole, so that brackets within it do not count.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def canonical_json(value: Json) -> bytes:
    """Serialise `value` by RFC 8785.

    Raises:
        DocumentError: `value` holds NaN, an integer beyond 2^53 or a type JSON lacks.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise DocumentError(f"cannot be written as canonical JSON: {error}") from error


def parse_json(text: bytes, *, where: object = None, max_bytes: int = MAX_JSON_BYTES) -> Json:
    """Parse JSON, refusing duplicate keys, NaN, infinities and more than `max_bytes`.

    Raises:
        DocumentError: the text is not strict JSON.
    """
    if len(text) > max_bytes:
        raise DocumentError(
            f"JSON of {len(text):,} bytes is over the limit of {max_bytes:,}", where=where
        )
    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"not valid JSON: {error}", where=where) from error


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object names one key twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def parse_canonical(
    data: bytes, *, where: object = None, max_bytes: int, max_depth: int = MAX_DEPTH
) -> Json:
    """Parse the RFC 8785 form of a document without floats, and refuse every other form.

    In this order: bytes are counted; nesting is counted over the raw bytes outside strings,
    before a parser could recurse; UTF-8 without a byte order mark; no key twice in an object;
    no float, NaN or infinity; integers of at most 16 digits, within 2^53 - 1; and what was read,
    written again, must be `data` (no spaces, other order of keys, `-0`, needless escape or lone
    surrogate).

    Raises:
        DocumentError: `data` is not such a document.
    """
    if len(data) > max_bytes:
        message = f"JSON of {len(data):,} bytes is over the limit of {max_bytes:,}"
        raise DocumentError(message, where=where)
    _limit_depth(data, max_depth, where)
    if data.startswith(_BOM):
        raise DocumentError("begins with a byte order mark", where=where)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_refuse_float,
            parse_int=_safe_integer,
        )
        canonical = is_form_of(data, value)
    except ValueError as error:
        raise DocumentError(f"not strict JSON: {error}", where=where) from error
    if not canonical:
        raise DocumentError(
            "not in canonical form (RFC 8785)",
            where=where,
            remedy="do not edit or reformat what was signed",
        )
    return value


def is_form_of(data: bytes, value: Json) -> bool:
    """Whether `data`, which holds no float, is the RFC 8785 form of `value`.

    In ASCII that form is what Python's own writer gives with sorted keys and no spaces: code points
    and UTF-16 units sort alike there, and both escape the same characters. It is ten times as fast.
    A float in `value` is written with a point or an exponent, so never equals `data`.

    Raises:
        ValueError: `value` holds something that JSON lacks.
    """
    if not data.isascii():
        return rfc8785.dumps(value) == data
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8") == data


def _limit_depth(data: bytes, max_depth: int, where: object) -> None:
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(data):
        if found[0] in b"[{":
            depth += 1
        elif found[0] in b"]}":
            depth -= 1
        if depth > max_depth:
            raise DocumentError(f"JSON is nested deeper than {max_depth}", where=where)


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"{text[:32]} is not an integer")


def _safe_integer(text: str) -> int:
    # Digits are counted first: converting a long text takes time that grows with its square.
    if len(text.removeprefix("-")) > 16 or abs(int(text)) > MAX_INTEGER:
        raise ValueError(f"{text[:32]} is beyond 2^53 - 1")
    return int(text)
