"""Parity: each merge goes to the language that needs the most tokens for the same sentences.

    repeat:  l = the language with the most tokens on the parallel sentences
             merge the most frequent pair in the counts of the members that own l,
             among pairs that occur in l's parallel sentences at least `min_parallel_count` times

The first two lines are parity-aware BPE (arXiv 2508.04796). The third is ours: a pair that is
frequent in a member's text but absent from the sentences cannot help its language to catch up.
Where a member's text is of one genre (laws), such pairs took a tenth of the vocabulary from the
others (`docs/benchmarks/tokenizer.md`). As every pick now shortens the sentences of the worst
language, none can take all picks for itself, and no moving window over past picks is needed.

Members who own no language of the parallel set are not measured; of L + U picks they get U in
turn, where L languages are measured and U members are not, by their own summed counts. Where no
useful pair is left for any language, the most frequent pair of all members is merged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from concord.base.errors import DocumentError
from concord.data.bpe.batch import Batch
from concord.data.bpe.chains import Change, Pair
from concord.data.bpe.choice import RANKED, PooledCounts
from concord.data.bpe.pairs import Ints, PairTable, sum_all
from concord.data.bpe.parallel import ParallelText
from concord.data.bpe.vocabulary import Vocabulary

MIN_PARALLEL_COUNT = 2
"""Measured: 0 misses the goal for total tokens, 4 the one for the premium."""


class Ranking:
    """Pairs still to be chosen from, with their occurrences in each language, first come first."""

    def __init__(self, pairs: Sequence[Pair], parallel: ParallelText) -> None:
        self._pairs = pairs
        self._counts_PL = parallel.counts(pairs)
        self._next = 0
        self.empty = not pairs

    def first_outside(self, batch: Batch) -> tuple[Pair, Ints] | None:
        """The first pair that is not in `batch`, with its occurrences in each language."""
        while self._next < len(self._pairs):
            pair = self._pairs[self._next]
            if pair not in batch.pairs:
                return pair, self._counts_PL[self._next]
            self._next += 1
        return None


def fill_batch(
    vocabulary: Vocabulary,
    limit: int,
    tokens_L: Ints,
    due: Callable[[Ints], Ranking],
    picked: Callable[[], None] = lambda: None,
) -> list[Pair]:
    """Add up to `limit` merges that can be made together, each from the ranking whose turn it is.

    Args:
        tokens_L: Tokens of each language now; overwritten by what they become.
        due: The ranking to take from, by the tokens of each language.
        picked: Called after each pick.
    """
    batch = Batch()
    while len(batch.pairs) < limit:
        found = due(tokens_L).first_outside(batch)
        if found is None or not batch.admits(found[0]):
            break
        pair, saved_L = found
        vocabulary.add(pair)
        batch.add(pair)
        tokens_L -= saved_L
        picked()
    return batch.pairs


class LanguageCounts:
    """The counts of a language's owners, of pairs that occur in its parallel sentences."""

    def __init__(
        self,
        language: int,
        owners: Sequence[str],
        *,
        min_count: int,
        min_parallel_count: int,
    ) -> None:
        self._language = language
        self._owners = tuple(owners)
        self._min_count = min_count
        self._min_parallel_count = min_parallel_count
        self._table = PairTable()

    def learn(
        self, merged: Sequence[Pair], changes: Mapping[str, Change], parallel: ParallelText
    ) -> None:
        """Add the owners' changes; `parallel` has made the merges already."""
        mine = [changes[member] for member in self._owners]
        born = sum_all([change.born for change in mine])
        self._table.clear(merged)
        self._table.subtract(self._table.known(sum_all([change.lost for change in mine])))
        self._table.add(parallel.frequent(self._language, born, self._min_parallel_count))

    def ranking(self, parallel: ParallelText) -> list[Pair]:
        """The most frequent useful pairs. A pair that is useless once stays so, and is dropped."""
        while pairs := self._table.ranked(RANKED, min_count=self._min_count):
            occurs = parallel.counts(pairs)[:, self._language] >= self._min_parallel_count
            self._table.clear([pair for pair, kept in zip(pairs, occurs, strict=True) if not kept])
            if occurs.any():
                return [pair for pair, kept in zip(pairs, occurs, strict=True) if kept]
        return []


class ParityChoice:
    """The most frequent pair of the language that is compressed worst.

    Args:
        parallel: The same sentences in each language that a member owns.
        member_languages: Which languages of the parallel set each member owns.
        min_count: A pair that occurs less often in the counts is never merged.
        min_parallel_count: See above; 0 takes any pair.
        global_merges: So many first merges go by the counts of all members ("hybrid").

    Raises:
        DocumentError: no language of the parallel set is owned by a member.
    """

    def __init__(
        self,
        parallel: ParallelText,
        member_languages: Mapping[str, tuple[str, ...]],
        *,
        min_count: int,
        min_parallel_count: int = MIN_PARALLEL_COUNT,
        global_merges: int = 0,
    ) -> None:
        members = sorted(member_languages)
        self._parallel = parallel
        self._languages = [
            LanguageCounts(
                place,
                [member for member in members if language in member_languages[member]],
                min_count=min_count,
                min_parallel_count=min_parallel_count,
            )
            for place, language in enumerate(parallel.languages)
        ]
        known = set(parallel.languages)
        unmeasured = [member for member in members if known.isdisjoint(member_languages[member])]
        if len(unmeasured) == len(members):
            raise DocumentError(
                "no member owns a language of the parallel set",
                where="languages",
                remedy="give members the codes of the parallel files, or choose mode 'ordinary'",
            )
        self._turns = len(unmeasured)
        self._others = PooledCounts(unmeasured, min_count=min_count)
        self._all = PooledCounts(members, min_count=min_count)
        self._global_merges = global_merges
        self._picked = 0

    def learn(self, merged: Sequence[Pair], changes: Mapping[str, Change]) -> None:
        """See `choice.Choice`."""
        self._parallel.merge(merged)
        for language in self._languages:
            language.learn(merged, changes, self._parallel)
        self._all.learn(merged, changes)
        if self._turns:
            self._others.learn(merged, changes)

    def choose(self, vocabulary: Vocabulary, limit: int) -> list[Pair]:
        """See `choice.Choice`."""
        rankings: dict[int, Ranking] = {}

        def due(tokens_L: Ints) -> Ranking:
            return self._due(tokens_L, rankings)

        def count() -> None:
            self._picked += 1

        return fill_batch(vocabulary, limit, self._parallel.tokens(), due, count)

    def _due(self, tokens_L: Ints, rankings: dict[int, Ranking]) -> Ranking:
        """The ranking whose turn it is."""
        every = len(self._languages)
        if self._picked < self._global_merges:
            return self._ranking(_ALL, rankings)
        if self._picked % (every + self._turns) >= every:
            others = self._ranking(_OTHERS, rankings)
            if not others.empty:
                return others
        for language in np.argsort(-tokens_L, kind="stable").tolist():
            ranking = self._ranking(language, rankings)
            if not ranking.empty:
                return ranking
        return self._ranking(_ALL, rankings)

    def _ranking(self, whose: int, rankings: dict[int, Ranking]) -> Ranking:
        if whose not in rankings:
            if whose == _ALL:
                pairs = self._all.ranking()
            elif whose == _OTHERS:
                pairs = self._others.ranking()
            else:
                pairs = self._languages[whose].ranking(self._parallel)
            rankings[whose] = Ranking(pairs, self._parallel)
        return rankings[whose]


_ALL = -1
_OTHERS = -2
