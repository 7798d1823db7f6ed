"""Base64 with exactly one text per byte string, as envelopes and notes use it."""

from __future__ import annotations

import base64


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """The bytes that `text` stands for.

    Raises:
        ValueError: `text` is not what `to_base64` writes: spaces, missing padding, set bits
            behind the end, another alphabet.
    """
    data = base64.b64decode(text, validate=True)
    if to_base64(data) != text:
        raise ValueError("base64 is not in its canonical form")
    return data
