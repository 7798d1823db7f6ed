"""The same sentences in each language, cut into the symbols made so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from concord.data.bpe.chains import Pair, WordChains
from concord.data.bpe.pairs import Counts, Ints, PairTable, keys_of
from concord.data.bpe.words import count_words

WHOLE = 1 << 62
"""Bytes: parallel sentences are never sampled."""


class ParallelText:
    """How many tokens each language needs, and how often a pair occurs in it, after each merge."""

    def __init__(self, sentences: Mapping[str, Sequence[str]]) -> None:
        self.languages = tuple(sorted(sentences))
        words = [count_words(sentences[language], max_bytes=WHOLE) for language in self.languages]
        self._chains = [WordChains(counted) for counted in words]
        self._tables = [PairTable() for _ in self.languages]
        for table, chains in zip(self._tables, self._chains, strict=True):
            table.add(chains.pairs())
        self._tokens_L = np.array([chains.tokens() for chains in self._chains], np.int64)

    def tokens(self) -> Ints:
        """Tokens of each language now, shape (languages,)."""
        return self._tokens_L.copy()

    def counts(self, pairs: Sequence[Pair]) -> Ints:
        """Occurrences of pairs, shape (pairs, languages).

        That many tokens a merge saves; fewer for a symbol twice in runs such as "aaa".
        """
        keys = keys_of(pairs)
        return np.stack([table.counts_of(keys) for table in self._tables], axis=1)

    def frequent(self, language: int, counts: Counts, min_count: int) -> Counts:
        """The part of `counts` that is about pairs with `min_count` occurrences in a language."""
        kept = self._tables[language].counts_of(counts.keys) >= min_count
        return Counts(counts.keys[kept], counts.amounts[kept])

    def merge(self, pairs: Sequence[Pair]) -> None:
        """Make merges in all languages."""
        if not pairs:
            return
        for place, (table, chains) in enumerate(zip(self._tables, self._chains, strict=True)):
            change = chains.merge(pairs)
            table.clear(pairs)
            table.subtract(change.lost)
            table.add(change.born)
            self._tokens_L[place] -= change.merged
