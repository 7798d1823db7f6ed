"""Keys of pairs of symbols, and a table of how often each pair occurs.

    key = younger << 22 | older << 1 | (1 if the younger stands left)

with `younger` the larger of the two numbers. Why so: a pair can only come to be in the exchange
in which its younger symbol is born, since an adjacency that did not exist before always has a
new symbol in it. So keys arrive in rising order, the table only ever grows at its end, and a
count, once there, only falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from concord.base.errors import TokenizerError

Ints = npt.NDArray[np.int64]
AnyInts = npt.NDArray[np.integer[Any]]

SYMBOL_BITS = 21
MAX_SYMBOLS = 1 << SYMBOL_BITS
_MASK = MAX_SYMBOLS - 1
_YOUNG = SYMBOL_BITS + 1
MAX_KEY = (MAX_SYMBOLS << _YOUNG) - 1
MAX_COUNT = 1 << 52
"""Sums of counts stay exact in float64, which `numpy.bincount` adds in."""
DENSE_SHARE = 8
"""A square of counts is used up to this many cells for each adjacency; measured."""
RESERVE = 8
"""Pairs kept at hand, as a multiple of those asked for."""


def pair_keys(left: AnyInts, right: AnyInts) -> Ints:
    """Keys of pairs given by the numbers of their symbols."""
    left, right = left.astype(np.int64), right.astype(np.int64)
    keys: Ints = np.maximum(left, right) << _YOUNG | np.minimum(left, right) << 1 | (left > right)
    return keys


def keys_of(pairs: Sequence[tuple[int, int]]) -> Ints:
    """Keys of a few pairs, in their order."""
    sides = np.array(pairs, np.int64).reshape(-1, 2)
    return pair_keys(sides[:, 0], sides[:, 1])


def pair_symbols(keys: Ints) -> tuple[Ints, Ints]:
    """Left and right symbols of keys: the inverse of `pair_keys`."""
    young, old, young_left = keys >> _YOUNG, keys >> 1 & _MASK, (keys & 1).astype(bool)
    return np.where(young_left, young, old), np.where(young_left, old, young)


def younger(keys: Ints) -> Ints:
    """The later born symbol of each pair."""
    return keys >> _YOUNG


@dataclass(frozen=True)
class Counts:
    """Pairs, by rising key without repetition, and a positive number for each."""

    keys: Ints
    amounts: Ints


NO_COUNTS = Counts(np.empty(0, np.int64), np.empty(0, np.int64))


def sum_counts(keys: Ints, amounts: Ints) -> Counts:
    """Add the amounts of equal keys."""
    if not len(keys):
        return NO_COUNTS
    order = np.argsort(keys)
    keys, amounts = keys[order], amounts[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return Counts(keys[first], np.add.reduceat(amounts, first))


def count_pairs(left: AnyInts, right: AnyInts, weights: Ints, *, symbols: int) -> Counts:
    """Add the weights of equal pairs; all numbers of symbols are below `symbols`."""
    if symbols * symbols > DENSE_SHARE * len(left):
        return sum_counts(pair_keys(left, right), weights)
    # Many adjacencies of few symbols: adding into a square is faster than sorting.
    square = np.bincount(left.astype(np.int64) * symbols + right, weights)
    found = np.flatnonzero(square)
    keys = pair_keys(*np.divmod(found, symbols))
    order = np.argsort(keys)
    return Counts(keys[order], square[found[order]].astype(np.int64))


def sum_all(parts: list[Counts]) -> Counts:
    """Add several members' counts."""
    if len(parts) == 1:
        return parts[0]
    keys = np.concatenate([part.keys for part in parts])
    return sum_counts(keys, np.concatenate([part.amounts for part in parts]))


class PairTable:
    """How often each known pair occurs now."""

    def __init__(self) -> None:
        self._keys = np.empty(1 << 12, np.int64)
        self._counts = np.empty(1 << 12, np.int64)
        self._size = 0
        # Rows whose count is at least `_leaders_from`; all others are known to be below.
        self._leaders = np.empty(0, np.int64)
        self._leaders_from = MAX_COUNT

    def add(self, born: Counts) -> None:
        """Append pairs that came to be; their keys are above all keys so far."""
        size = self._size + len(born.keys)
        if size > len(self._keys):
            capacity = max(size, 2 * len(self._keys))
            self._keys = np.resize(self._keys, capacity)
            self._counts = np.resize(self._counts, capacity)
        self._keys[self._size : size] = born.keys
        self._counts[self._size : size] = born.amounts
        strong = np.flatnonzero(born.amounts >= self._leaders_from) + self._size
        self._leaders = np.concatenate((self._leaders, strong))
        self._size = size

    def known(self, lost: Counts) -> Counts:
        """The part of `lost` that is about pairs of this table which still occur."""
        kept = self.counts_of(lost.keys) > 0
        return lost if kept.all() else Counts(lost.keys[kept], lost.amounts[kept])

    def subtract(self, lost: Counts) -> None:
        """Lower the counts of known pairs.

        Raises:
            TokenizerError: a pair is unknown, or would occur less than 0 times.
        """
        rows, found = self._find(lost.keys)
        if not found.all() or (self._counts[rows] < lost.amounts).any():
            raise TokenizerError(
                "takes back occurrences of a pair that were never counted",
                remedy="the member must start the session again from its text",
            )
        self._counts[rows] -= lost.amounts

    def clear(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Set the counts of pairs to 0, where they are known."""
        rows, found = self._find(keys_of(pairs))
        self._counts[rows[found]] = 0

    def counts_of(self, keys: Ints) -> Ints:
        """Counts of `keys`; 0 for pairs that are not known."""
        rows, found = self._find(keys)
        return np.where(found, self._counts[rows] if self._size else 0, 0)

    def ranked(self, limit: int, *, min_count: int) -> list[tuple[int, int]]:
        """The first `limit` pairs, left and right symbol, of those at `min_count` or above.

        Order: count descending, then the number of the left, then of the right symbol ascending.
        """
        counts = self._counts[self._leaders]
        kept = counts >= self._leaders_from
        self._leaders, counts = self._leaders[kept], counts[kept]
        if len(self._leaders) < limit and self._leaders_from > min_count:
            self._gather(limit, min_count)
            counts = self._counts[self._leaders]
        if len(counts) > limit:
            bar = np.partition(counts, len(counts) - limit)[len(counts) - limit]
            best = np.flatnonzero(counts >= bar)
        else:
            best = np.arange(len(counts))
        left, right = pair_symbols(self._keys[self._leaders[best]])
        order = np.lexsort((right, left, -counts[best]))[:limit]
        return list(zip(left[order].tolist(), right[order].tolist(), strict=True))

    def _gather(self, limit: int, min_count: int) -> None:
        counts = self._counts[: self._size]
        wanted = min(RESERVE * limit, self._size)
        at = self._size - wanted
        bar = int(np.partition(counts, at)[at]) if wanted else min_count
        self._leaders_from = max(min_count, bar)
        self._leaders = np.flatnonzero(counts >= self._leaders_from)

    def _find(self, keys: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        known = self._keys[: self._size]
        rows = np.searchsorted(known, keys)
        if not self._size:
            return rows, np.zeros(len(keys), bool)
        np.minimum(rows, self._size - 1, out=rows)
        return rows, known[rows] == keys
