"""The same sentences in each language, cut into the symbols made so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from concord.data.bpe.chains import Pair, WordChains
from concord.data.bpe.pairs import Counts, Ints, PairTable, keys_of
from concord.data.bpe.words import count_words

WHOLE = 1 << 62
"""Bytes: parallel sentences are never sampled."""


class ParallelText:
    """How many tokens each language needs, and how often a pair occurs in it, after each merge.

    Args:
        words: Words of each language's sentences, with their counts.
    """

    def __init__(self, words: Mapping[str, Mapping[bytes, int]]) -> None:
        self.languages = tuple(sorted(words))
        self._chains = [WordChains(words[language]) for language in self.languages]
        self._tables = [PairTable() for _ in self.languages]
        for table, chains in zip(self._tables, self._chains, strict=True):
            table.add(chains.pairs())
        self._tokens_L = np.array([chains.tokens() for chains in self._chains], np.int64)

    @classmethod
    def cut(cls, sentences: Mapping[str, Sequence[str]]) -> Self:
        """Of the same sentences in each language."""
        return cls(cut_words(sentences))

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


def cut_words(sentences: Mapping[str, Sequence[str]]) -> dict[str, dict[bytes, int]]:
    """Words of each language's sentences, with their counts."""
    return {name: count_words(found, max_bytes=WHOLE) for name, found in sorted(sentences.items())}
