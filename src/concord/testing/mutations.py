"""Bytes that were damaged on purpose: flipped, cut, moved, repeated. For tests and benchmarks."""

from __future__ import annotations

from random import Random

import numpy as np

from concord.update.payload import MAGIC


def mutated(data: bytes, draw: Random) -> bytes:
    """Other bytes than `data`, made from it by one kind of damage."""
    while True:
        found = draw.choice(_KINDS)(data, draw)
        if found != data:
            return found


def infinite(data: bytes) -> bytes:
    """An update with an infinity where the first tensor's scales begin, behind magic and header."""
    fixed = len(MAGIC) + 4
    begin = fixed + int.from_bytes(data[len(MAGIC) : fixed], "little")
    return data[:begin] + np.float32(np.inf).tobytes() + data[begin + 4 :]


def _flipped(data: bytes, draw: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 8, 64))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _truncated(data: bytes, draw: Random) -> bytes:
    return data[: draw.randrange(len(data))]


def _lengthened(data: bytes, draw: Random) -> bytes:
    place = draw.choice((0, len(data), draw.randrange(len(data))))
    return data[:place] + draw.randbytes(draw.randint(1, 64)) + data[place:]


def _reordered(data: bytes, draw: Random) -> bytes:
    """Two runs of bytes change places."""
    a, b, c, d = sorted(draw.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _repeated(data: bytes, draw: Random) -> bytes:
    start, stop = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    return data[:stop] + data[start:]


def _overwritten(data: bytes, draw: Random) -> bytes:
    start = draw.randrange(len(data))
    stop = min(len(data), start + draw.randint(1, 64))
    fill = draw.choice((b"\x00", b"\xff", b"\x7f", b" "))
    return data[:start] + fill * (stop - start) + data[stop:]


_KINDS = (_flipped, _truncated, _lengthened, _reordered, _repeated, _overwritten)
