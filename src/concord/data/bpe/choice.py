"""Which pairs to merge next, from what is known of all members' counts.

A choice only ever ends its batch early, never late: see `batch` for why making the merges of one
batch together is making them one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from concord.data.bpe.batch import MAX_BATCH, Batch
from concord.data.bpe.chains import Change, Pair
from concord.data.bpe.pairs import PairTable, sum_all
from concord.data.bpe.vocabulary import Vocabulary

RANKED = 2 * MAX_BATCH
"""Pairs looked at for one batch: those that other rankings chose meanwhile are passed over."""


class Choice(Protocol):
    """How a session decides."""

    def learn(self, merged: Sequence[Pair], changes: Mapping[str, Change]) -> None:
        """Take in what each member's text looks like after `merged`.

        Raises:
            TokenizerError: the changes are impossible.
        """

    def choose(self, vocabulary: Vocabulary, limit: int) -> list[Pair]:
        """Add up to `limit` merges to `vocabulary`; none where no pair is left.

        Raises:
            TokenizerError: the counts name a pair that no text can hold.
        """


class PooledCounts:
    """The counts of a group of members, summed."""

    def __init__(self, members: Sequence[str], *, min_count: int) -> None:
        self._members = tuple(members)
        self._min_count = min_count
        self._table = PairTable()

    def learn(self, merged: Sequence[Pair], changes: Mapping[str, Change]) -> None:
        """Add the members' changes to the sum."""
        mine = [changes[member] for member in self._members]
        self._table.clear(merged)
        self._table.subtract(sum_all([change.lost for change in mine]))
        self._table.add(sum_all([change.born for change in mine]))

    def ranking(self) -> list[Pair]:
        """The most frequent pairs, first come first."""
        return self._table.ranked(RANKED, min_count=self._min_count)


class OrdinaryChoice:
    """The most frequent pair of all members together: what training on the pooled text does."""

    def __init__(self, members: Sequence[str], *, min_count: int) -> None:
        self._counts = PooledCounts(members, min_count=min_count)

    def learn(self, merged: Sequence[Pair], changes: Mapping[str, Change]) -> None:
        """See `Choice`."""
        self._counts.learn(merged, changes)

    def choose(self, vocabulary: Vocabulary, limit: int) -> list[Pair]:
        """See `Choice`."""
        batch = Batch()
        for pair in self._counts.ranking():
            if len(batch.pairs) == limit or not batch.admits(pair):
                break
            vocabulary.add(pair)
            batch.add(pair)
        return batch.pairs
