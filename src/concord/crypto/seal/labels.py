"""Domain separation: every hash and derivation of sealed mode begins with a label of its own.

    label(x) = ASCII "concord/" + x + "/v1" + byte 00

Integers in hash inputs are big-endian and of fixed width. HKDF is RFC 5869 with SHA-256.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from concord.base.errors import SealRefused

HASH_BYTES = 32


def label(name: str) -> bytes:
    return b"concord/" + name.encode("ascii") + b"/v1\x00"


def u16(value: int) -> bytes:
    return _integer(value, 2)


def u32(value: int) -> bytes:
    return _integer(value, 4)


def u64(value: int) -> bytes:
    return _integer(value, 8)


def labelled_hash(name: str, *parts: bytes) -> bytes:
    """SHA-256(label(name) || parts)."""
    digest = hashlib.sha256(label(name))
    for part in parts:
        digest.update(part)
    return digest.digest()


def expand(key: bytes, name: str, *parts: bytes, length: int = HASH_BYTES) -> bytes:
    """HKDF-Expand(key, label(name) || parts, length)."""
    info = label(name) + b"".join(parts)
    return HKDFExpand(SHA256(), length, info).derive(key)


def extract(name: str, secret: bytes) -> bytes:
    """HKDF-Extract(salt = label(name), secret)."""
    return HKDF.extract(SHA256(), label(name), secret)


def exactly(value: bytes, length: int, *, where: str) -> bytes:
    """`value`, if it has `length` bytes.

    Raises:
        SealRefused: it has not.
    """
    if len(value) != length:
        raise SealRefused(f"has {len(value)} bytes, not {length}", where=where)
    return value


def _integer(value: int, width: int) -> bytes:
    try:
        return value.to_bytes(width, "big")
    except OverflowError as error:
        raise SealRefused(f"{value} does not fit into {width} bytes") from error
