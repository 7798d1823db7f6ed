"""A text's different words as chains of symbols in flat arrays, and merges made in all at once.

Position 0 stands for "no neighbour"; the symbols of the words follow, one position for each byte.
A merge writes the new symbol over the left one of a pair and unlinks the right one. Of each
symbol the positions where it was born are kept; a pair is found by looking at those of its rarer
symbol, so that the work of a merge is near the number of its occurrences, not the size of the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from concord.data.bpe.alphabet import FIRST_MERGE_ID, ID_OF_BYTE
from concord.data.bpe.pairs import NO_COUNTS, AnyInts, Counts, count_pairs

Pair = tuple[int, int]

_GONE = -1
_STALE_SHARE = 2
"""Positions of a symbol are listed anew when fewer than one in this many still hold it."""


@dataclass(frozen=True)
class Change:
    """What merges did to the counts of pairs; the merged pairs themselves now occur nowhere."""

    born: Counts
    lost: Counts
    made: AnyInts = field(default_factory=lambda: np.empty(0, np.int64))
    """How often each merge was made; not told to anyone."""

    @property
    def merged(self) -> int:
        """By how many symbols the text became shorter."""
        return int(self.made.sum())


class WordChains:
    """Words with their weights, in which pairs of symbols are merged."""

    def __init__(self, words: Mapping[bytes, int]) -> None:
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        weights = np.fromiter(words.values(), np.int64, len(words))
        size = int(lengths.sum()) + 1
        self._symbol = np.zeros(size, np.int32)
        self._symbol[1:] = ID_OF_BYTE[np.frombuffer(b"".join(words), np.uint8)]
        self._weight = np.concatenate(([0], np.repeat(weights, lengths)))
        self._after = np.arange(1, size + 1, dtype=np.int32)
        self._before = np.arange(-1, size - 1, dtype=np.int32)
        ends = np.cumsum(lengths)
        self._after[ends] = 0
        self._before[ends - lengths + 1] = 0
        self._before[0] = self._after[0] = 0
        self._is_right = np.zeros(size, bool)
        self._places = self._by_symbol()
        self._alive = [len(places) for places in self._places]

    def _by_symbol(self) -> list[AnyInts]:
        symbols = self._symbol[1:].astype(np.uint16)
        order = (np.argsort(symbols, kind="stable") + 1).astype(np.int32)
        bounds = np.cumsum(np.bincount(symbols, minlength=FIRST_MERGE_ID))
        return np.split(order, bounds[:-1])

    def pairs(self) -> Counts:
        """Count all adjacent pairs of symbols, weighted by the words' counts."""
        left = np.flatnonzero(self._after)
        left = left[self._symbol[left] > 0]
        return self._count(left)

    def tokens(self) -> int:
        """Number of symbols in the text."""
        return int(self._weight[self._symbol > 0].sum())

    def merge(self, pairs: Sequence[Pair]) -> Change:
        """Merge `pairs` everywhere; they get the next numbers, in their order.

        No right symbol of one pair may be the left symbol of another, and a pair of twice the same
        symbol must come last: then the order of the merges within the batch does not matter.
        """
        first_new = len(self._places)
        left_at, new = self._occurrences(pairs)
        bounds = np.searchsorted(new, np.arange(first_new + 1, first_new + len(pairs)))
        for places in np.split(left_at, bounds):
            self._places.append(places)
            self._alive.append(len(places))
        for rank, (left, right) in enumerate(pairs):
            self._alive[left] -= self._alive[first_new + rank]
            self._alive[right] -= self._alive[first_new + rank]
        if not len(left_at):
            return Change(NO_COUNTS, NO_COUNTS, np.zeros(len(pairs), np.int64))
        right_at = self._after[left_at]
        lost = self._lost(left_at, right_at, pairs[-1])
        self._link(left_at, right_at, new)
        weights = self._weight[left_at]
        made = np.bincount(new - first_new, weights, len(pairs)).astype(np.int64)
        return Change(self._born(left_at, first_new), lost, made)

    def _occurrences(self, pairs: Sequence[Pair]) -> tuple[AnyInts, AnyInts]:
        """Where each pair begins, rising within a pair, and the symbol it becomes."""
        by_left = [self._alive[left] <= self._alive[right] for left, right in pairs]
        places = [
            self._listed(pair[0] if is_left else pair[1])
            for pair, is_left in zip(pairs, by_left, strict=True)
        ]
        lengths = [len(part) for part in places]
        at = np.concatenate(places)
        pair_of = np.repeat(np.arange(len(pairs), dtype=np.int32), lengths)
        sides = np.array(pairs, dtype=np.int32)
        rarer = np.where(by_left, sides[:, 0], sides[:, 1])
        live = self._symbol[at] == rarer[pair_of]
        at, pair_of = at[live], pair_of[live]
        at = np.where(np.array(by_left)[pair_of], at, self._before[at])
        found = self._symbol[at] == sides[pair_of, 0]
        found &= self._symbol[self._after[at]] == sides[pair_of, 1]
        at, pair_of = at[found], pair_of[found]
        if pairs[-1][0] == pairs[-1][1]:
            kept = np.ones(len(at), bool)
            same = np.searchsorted(pair_of, len(pairs) - 1)
            kept[same:] = self._every_second(at[same:])
            at, pair_of = at[kept], pair_of[kept]
        return at, pair_of + np.int32(len(self._places))

    def _listed(self, symbol: int) -> AnyInts:
        places = self._places[symbol]
        if len(places) > _STALE_SHARE * self._alive[symbol]:
            places = self._places[symbol] = places[self._symbol[places] == symbol]
        return places

    def _every_second(self, at: AnyInts) -> npt.NDArray[np.bool_]:
        """In each run of one symbol, take the first, third, … place where a pair begins."""
        if not len(at):
            return np.ones(0, bool)
        rank = np.arange(len(at))
        starts = np.concatenate(([True], self._after[at[:-1]] != at[1:]))
        in_run = rank - np.maximum.accumulate(np.where(starts, rank, 0))
        return np.asarray(in_run % 2 == 0)

    def _lost(self, left_at: AnyInts, right_at: AnyInts, last: Pair) -> Counts:
        """Adjacencies that the merges end, but for the merged pairs themselves."""
        self._is_right[right_at] = True
        before = self._before[left_at]
        # Between two neighbouring occurrences the adjacency is counted once, from its left side.
        before = before[(before > 0) & ~self._is_right[before]]
        self._is_right[right_at] = False
        start = np.concatenate((before, right_at[self._after[right_at] > 0]))
        if last[0] == last[1]:
            same = (self._symbol[start] == last[0]) & (self._symbol[self._after[start]] == last[0])
            start = start[~same]
        return self._count(start)

    def _link(self, left_at: AnyInts, right_at: AnyInts, new: AnyInts) -> None:
        beyond = self._after[right_at]
        self._symbol[left_at] = new
        self._symbol[right_at] = _GONE
        self._after[left_at] = beyond
        self._before[beyond] = left_at

    def _born(self, at: AnyInts, first_new: int) -> Counts:
        before = self._before[at]
        before = before[(before > 0) & (self._symbol[before] < first_new)]
        start = np.concatenate((before, at[self._after[at] > 0]))
        return self._count(start)

    def _count(self, start: AnyInts) -> Counts:
        """Count the pairs that begin at `start`."""
        left, right = self._symbol[start], self._symbol[self._after[start]]
        return count_pairs(left, right, self._weight[start], symbols=len(self._places))
