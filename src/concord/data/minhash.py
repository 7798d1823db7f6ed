"""MinHash signatures of texts: equal places tell how much two texts have in common.

A text, case-folded and with its white space made single, is seen as the set S of its windows of
12 UTF-8 bytes, each beginning at a character: 12 letters of Latin, 6 of Cyrillic or Arabic, 4 of
Han, Thai or Ethiopic. So scripts that write no spaces are treated as the others are. The windows
run on from the end to the beginning, so that each character lies in as many of them.

    J(A, B) = |A ∩ B| / |A ∪ B|        P[signature(A)_i = signature(B)_i] = J(A, B)

One hash per window, spread over 128 bins, the least of each bin kept: Li, Owen and Zhang 2012,
"One Permutation Hashing"; bins that stay empty are filled from others in a fixed random order:
Shrivastava 2017, "Optimal Densification for Fast and Accurate Minwise Hashing".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BINS = 128
WINDOW_BYTES = 12
_SEGMENT_BYTES = 1 << 20
_SLICE = 1 << 16
"""Windows hashed at once: few enough to stay in the cache."""
_BIN_SHIFT = np.uint64(64 - 7)
_VALUE_SHIFT = np.uint64(64 - 7 - 31)
_VALUE_MASK = np.uint64(2**31 - 1)
_EMPTY = np.uint32(2**32 - 1)
_MULTIPLIERS = tuple(
    np.uint64(m) for m in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_PROBES = np.random.Generator(np.random.Philox(key=0)).permuted(
    np.tile(np.arange(BINS), (BINS, 1)), axis=1
)
"""[bin, attempt] From which bin an empty one is filled."""


def signatures(texts: Sequence[str]) -> NDArray[np.uint32]:
    """[texts, BINS] The signature of each text; none of them empty.

    Memory beyond the result does not grow with the length of a text.
    """
    values = np.full(len(texts) * BINS, _EMPTY, np.uint32)
    batch: list[tuple[int, bytes]] = []
    size = 0
    for piece in _segments(texts):
        batch.append(piece)
        size += len(piece[1])
        if size >= _SEGMENT_BYTES:
            _take_minima(values, batch)
            batch, size = [], 0
    if batch:
        _take_minima(values, batch)
    return _filled(values.reshape(len(texts), BINS))


def _segments(texts: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """Bytes whose windows of each text are to be hashed, with the tail that the last ones need."""
    tail = WINDOW_BYTES - 1
    for number, text in enumerate(texts):
        form = " ".join(text.casefold().split()).encode()
        form += (form * (tail // max(1, len(form)) + 1))[:tail]
        for start in range(0, len(form) - tail, _SEGMENT_BYTES):
            yield number, form[start : start + _SEGMENT_BYTES + tail]


def _take_minima(values: NDArray[np.uint32], batch: Sequence[tuple[int, bytes]]) -> None:
    numbers = np.array([number for number, _ in batch])
    sizes = np.array([len(form) for _, form in batch])
    buffer = b"".join(form for _, form in batch)
    bytes_ = np.frombuffer(buffer, np.uint8)
    begins = (bytes_ & 0xC0) != 0x80
    for end in np.cumsum(sizes).tolist():
        begins[end - WINDOW_BYTES + 1 : end] = False
    owners = np.repeat(numbers * BINS, sizes)
    heads = np.ndarray((len(buffer) - 7,), "<u8", buffer, strides=(1,))
    tails = np.ndarray((len(buffer) - 3,), "<u4", buffer, strides=(1,))
    positions = np.flatnonzero(begins)
    for start in range(0, len(positions), _SLICE):
        at = positions[start : start + _SLICE]
        hashes = _mixed(heads[at], tails[at + 8].astype(np.uint64))
        places = owners[at] + (hashes >> _BIN_SHIFT).astype(np.int64)
        least = ((hashes >> _VALUE_SHIFT) & _VALUE_MASK).astype(np.uint32)
        np.minimum.at(values, places, least)


def _mixed(heads: NDArray[np.uint64], tails: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser over the twelve bytes of each window."""
    hashes = heads * _MULTIPLIERS[0] + tails * _MULTIPLIERS[1]
    for multiplier in _MULTIPLIERS[1:]:
        hashes ^= hashes >> np.uint64(29)
        hashes *= multiplier
    hashes ^= hashes >> np.uint64(32)
    return hashes


def _filled(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    rows, bins = np.nonzero(values == _EMPTY)
    if not rows.size:
        return values
    filled = values.copy()
    for attempt in range(BINS):
        taken = values[rows, _PROBES[bins, attempt]]
        filled[rows, bins] = taken
        left = taken == _EMPTY
        rows, bins = rows[left], bins[left]
        if not rows.size:
            break
    return filled
