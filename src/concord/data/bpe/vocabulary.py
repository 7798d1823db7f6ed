"""The symbols made so far: how each is spelled in bytes, and from which pair."""

from __future__ import annotations

import numpy as np

from concord.base.errors import TokenizerError
from concord.data.bpe.alphabet import BYTES_BY_ID
from concord.data.bpe.chains import Pair
from concord.data.bpe.pairs import Ints, pair_symbols
from concord.data.bpe.words import MAX_WORD_BYTES


class Vocabulary:
    """Grows by one symbol for each merge."""

    def __init__(self) -> None:
        self.merges: list[Pair] = []
        self._spelling = [b"", *BYTES_BY_ID]
        self._known = set(self._spelling)
        self._lengths = np.array([len(text) for text in self._spelling], np.int64)

    def __len__(self) -> int:
        return len(self._spelling)

    def spelling(self, symbol: int) -> bytes:
        """The bytes that a symbol stands for; none for the end token."""
        return self._spelling[symbol]

    def spellings(self) -> tuple[bytes, ...]:
        """The bytes of all symbols, by number."""
        return tuple(self._spelling)

    def add(self, pair: Pair) -> None:
        """Give the next number to what `pair` makes.

        Raises:
            TokenizerError: these bytes have a number. Merging everywhere makes each string of
                bytes in one way only, so such a pair was never counted in a text.
        """
        text = self._spelling[pair[0]] + self._spelling[pair[1]]
        if text in self._known:
            raise TokenizerError(
                f"the pair {pair} was counted, but no text can hold it",
                remedy="find the member that sends false counts, and learn again without it",
            )
        self.merges.append(pair)
        self._spelling.append(text)
        self._known.add(text)

    def can_be_words(self, keys: Ints) -> bool:
        """Whether all of these pairs are of known symbols and short enough to stand in a word."""
        left, right = pair_symbols(keys)
        if len(keys) and (min(left.min(), right.min()) < 1 or keys[-1] >> 22 >= len(self)):
            return False
        if len(self._lengths) < len(self):
            fresh = [len(text) for text in self._spelling[len(self._lengths) :]]
            self._lengths = np.concatenate((self._lengths, np.array(fresh, np.int64)))
        return bool((self._lengths[left] + self._lengths[right] <= MAX_WORD_BYTES).all())
