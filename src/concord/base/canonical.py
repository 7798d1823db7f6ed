"""Canonical JSON (RFC 8785): the one form of a document that is digested and, later, signed.

Reading is strict: a duplicate key, NaN or an oversized text is refused, because two
readers could otherwise see two documents behind one digest.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import rfc8785

from concord.base.errors import DocumentError

Json = Any
MAX_JSON_BYTES = 16 << 20


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
