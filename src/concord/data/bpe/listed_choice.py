"""A tokenizer chosen from a list of merges, by how often members together would make each.

    P(l, m)   how often merge m is made in the public words of language l
    r(m)      members' sum for m over its public count, in units of what all known merges have:
              above 1 where members' text has more of it than public text; 1 where no sum is known
    score     P(l, m) · √r(m): the geometric mean of what public text and members' text say

    parity:    l = the language with the most tokens on the parallel sentences
               take the merge with the best score for l, among those that can be made now and
               still occur in l's sentences at least `MIN_PARALLEL_COUNT` times, or else once
    ordinary:  take the merge with the best score in all languages together

One sum over all members is enough: whose turn it is follows from public sentences. Without any
sum, the tokenizer is near the one that open mode learns from these sentences alone. The root, and
not the ratio itself, was measured: docs/benchmarks/tokenizer.md. Whoever has list and sums finds
the same tokenizer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from concord.data.bpe.alphabet import FIRST_MERGE_ID
from concord.data.bpe.chains import Pair
from concord.data.bpe.choice import RANKED
from concord.data.bpe.listed import MergeList, Mode
from concord.data.bpe.pairs import Ints
from concord.data.bpe.parallel import ParallelText
from concord.data.bpe.parity import MIN_PARALLEL_COUNT, Ranking, fill_batch
from concord.data.bpe.vocabulary import Vocabulary

Flags = NDArray[np.bool_]
SCORE_BITS = 16


@dataclass(frozen=True)
class Summed:
    """What is known of the members' counts.

    Args:
        sums: [merges] Summed counts, at least 0.
        known: [merges] Where a sum is known; elsewhere it was left out.
    """

    sums: Ints
    known: Flags

    @classmethod
    def nothing(cls, listed: MergeList) -> Summed:
        """No count is known: public sentences alone decide."""
        return cls(np.zeros(len(listed), np.int64), np.zeros(len(listed), np.bool_))


def choose_merges(listed: MergeList, summed: Summed, *, mode: Mode, merges: int) -> Vocabulary:
    """The tokenizer's symbols; fewer than asked for where the list ends."""
    vocabulary, text = Vocabulary(), ParallelText(listed.words)
    chooser = _Chooser(listed, summed, text, mode)
    while batch := chooser.choose(vocabulary, merges - len(vocabulary.merges)):
        text.merge(batch)
    return vocabulary


class _Chooser:
    """Merges of the list that are left, and what stands in the vocabulary already."""

    def __init__(self, listed: MergeList, summed: Summed, text: ParallelText, mode: Mode) -> None:
        self._text = text
        sides = np.array(listed.merges, np.int64).reshape(-1, 2)
        self._left_M, self._right_M = sides[:, 0], sides[:, 1]
        self._number = np.full(FIRST_MERGE_ID + len(listed), -1, np.int64)
        """Of each symbol of the list: its number in the vocabulary; -1 for those not chosen."""
        self._number[:FIRST_MERGE_ID] = np.arange(FIRST_MERGE_ID)
        self._listed = {FIRST_MERGE_ID + m: pair for m, pair in enumerate(listed.merges)}
        self._taken_M = np.zeros(len(listed), np.bool_)
        every = range(len(text.languages))
        columns = [tuple(every)] if mode == "ordinary" else [(place,) for place in every]
        scores_LM = scores(listed, summed)
        self._groups = [_Group(one, scores_LM[list(one)].sum(axis=0)) for one in columns]

    def choose(self, vocabulary: Vocabulary, limit: int) -> list[Pair]:
        """Add up to `limit` merges that can be made together; none where the list ends."""
        rankings: dict[tuple[int, int], Ranking] = {}

        def due(tokens_L: Ints) -> Ranking:
            need = [-int(tokens_L[list(group.columns)].sum()) for group in self._groups]
            order = np.argsort(need, kind="stable").tolist()
            for floor in (MIN_PARALLEL_COUNT, 1):
                for place in order:
                    key = (place, floor)
                    if key not in rankings:
                        rankings[key] = self._ranking(self._groups[place], floor)
                    if not rankings[key].empty:
                        return rankings[key]
            return Ranking([], self._text)

        first = len(vocabulary)
        batch = fill_batch(vocabulary, limit, self._text.tokens(), due)
        for number, pair in enumerate(batch, first):
            self._take(number, pair)
        return batch

    def _take(self, number: int, pair: Pair) -> None:
        sides = self._number[self._left_M], self._number[self._right_M]
        (m,) = np.flatnonzero((sides[0] == pair[0]) & (sides[1] == pair[1]) & ~self._taken_M)
        self._taken_M[m] = True
        self._number[FIRST_MERGE_ID + m] = number

    def _ranking(self, group: _Group, floor: int) -> Ranking:
        """The best merges that can be made now and occur often enough, first come first."""
        left_M, right_M = self._number[self._left_M], self._number[self._right_M]
        open_M = (left_M >= 0) & (right_M >= 0) & ~self._taken_M & ~group.useless[floor]
        left = group.order[open_M[group.order]]
        for start in range(0, len(left), RANKED):
            some = left[start : start + RANKED]
            pairs = list(zip(left_M[some].tolist(), right_M[some].tolist(), strict=True))
            counts = self._text.counts(pairs)[:, list(group.columns)].sum(axis=1)
            group.useless[floor][some[counts < floor]] = True  # counts only ever fall
            if (counts >= floor).any():
                kept = [pair for pair, count in zip(pairs, counts, strict=True) if count >= floor]
                return Ranking(kept, self._text)
        return Ranking([], self._text)


class _Group:
    """Languages that merges are chosen for together."""

    def __init__(self, columns: tuple[int, ...], score_M: Ints) -> None:
        self.columns = columns
        self.order = np.argsort(-score_M, kind="stable")
        floors = (MIN_PARALLEL_COUNT, 1)
        self.useless = {floor: np.zeros(len(score_M), np.bool_) for floor in floors}


def scores(listed: MergeList, summed: Summed) -> Ints:
    """[languages, merges] By what the merges are ranked for each language: see the module.

    ⌊2^`SCORE_BITS` · P · √r⌋, by integers alone.
    """
    public_LM, known_M = listed.public, summed.known & (listed.public.sum(axis=0) > 0)
    members, public = int(summed.sums[known_M].sum()), int(public_LM[:, known_M].sum())
    found_LM = public_LM << SCORE_BITS
    if not members:
        return cast(Ints, found_LM)
    for m in np.flatnonzero(known_M).tolist():
        above = int(summed.sums[m]) * public << 2 * SCORE_BITS
        ratio = above // (members * int(public_LM[:, m].sum()))
        found_LM[:, m] = [math.isqrt(count * count * ratio) for count in public_LM[:, m].tolist()]
    return cast(Ints, found_LM)
