"""Unsigned LEB128 numbers, whole arrays at a time.

Each number is written seven bits to a byte, lowest first; the top bit of a byte says that more
follow. Only the shortest form is read, so that there is one spelling for each number.
"""

from __future__ import annotations

import numpy as np

from concord.base.errors import MessageRefused
from concord.data.bpe.pairs import Ints

MAX_VALUE = (1 << 56) - 1
MAX_BYTES = 8
"""Longest number read."""


def encode(values: Ints) -> bytes:
    """Write numbers from 0 to `MAX_VALUE`."""
    lengths = np.ones(len(values), np.int64)
    for shift in range(7, 7 * MAX_BYTES, 7):
        longer = values >> shift > 0
        if not longer.any():
            break
        lengths += longer
    start = np.cumsum(lengths) - lengths
    out = np.empty(int(lengths.sum()), np.uint8)
    for place in range(int(lengths.max(initial=0))):
        here = np.flatnonzero(lengths > place)
        more = (lengths[here] > place + 1).astype(np.int64) << 7
        out[start[here] + place] = values[here] >> (7 * place) & 0x7F | more
    return out.tobytes()


def decode(data: bytes) -> Ints:
    """Read all numbers of `data`.

    Raises:
        MessageRefused: the last number is cut off, or one is too long or not in its shortest form.
    """
    if not data:
        return np.empty(0, np.int64)
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < 0x80)
    if not len(ends) or ends[-1] != len(octets) - 1:
        raise MessageRefused("a number is cut off")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > MAX_BYTES:
        raise MessageRefused("a number is out of bounds")
    if ((octets[ends] == 0) & (lengths > 1)).any():
        raise MessageRefused("a number is not in its shortest form")
    values = np.zeros(len(ends), np.int64)
    for place in range(int(lengths.max())):
        here = np.flatnonzero(lengths > place)
        values[here] |= (octets[starts[here] + place] & 0x7F).astype(np.int64) << (7 * place)
    return values
