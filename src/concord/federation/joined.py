"""Several byte strings in one payload: a count is not sent, each has its length before it."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from concord.base.errors import MessageRefused

_LENGTH = struct.Struct(">I")


def join(parts: Iterable[bytes]) -> bytes:
    """Each part behind its length as a 32-bit big-endian number."""
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def split(data: bytes, *, max_part_bytes: int) -> list[bytes]:
    """What `join` joined.

    Raises:
        MessageRefused: a part is longer than allowed, or the data ends within one.
    """
    parts, at = [], 0
    while at < len(data):
        if at + _LENGTH.size > len(data):
            raise MessageRefused("a payload of several parts is torn")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length > max_part_bytes or at + length > len(data):
            raise MessageRefused("a part of a payload is longer than allowed, or torn")
        parts.append(data[at : at + length])
        at += length
    return parts
