"""Merges that public sentences alone would make: the list by which members count in sealed mode.

    words    of each language's parallel sentences, with their counts
    merges   what parity, or ordinary training, makes of these words, in order, cut into batches

Which merges are on the list depends on no member's text, so a member that counts them all, in
this order, tells by no position that it has something: every position is there for everyone. The
list is a document; whoever has the words makes the same merges of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np

from concord.base.canonical import canonical_json, parse_canonical
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import ConcordError, DocumentError
from concord.data.bpe.batch import overlaps
from concord.data.bpe.chains import Change, Pair, WordChains
from concord.data.bpe.choice import Choice, OrdinaryChoice
from concord.data.bpe.pairs import NO_COUNTS, Ints
from concord.data.bpe.parallel import ParallelText
from concord.data.bpe.parity import ParityChoice
from concord.data.bpe.vocabulary import Vocabulary
from concord.data.bpe.words import MAX_WORD_BYTES

Mode = Literal["parity", "ordinary"]
Words = Mapping[str, Mapping[bytes, int]]
"""Words by language, each with its count."""
LISTED = 4
"""Merges on the list, as a multiple of those that will be chosen; docs/benchmarks/tokenizer.md."""
MAX_LIST_BYTES = 256 << 20


@dataclass(frozen=True)
class MergeList:
    """Merges in order, and the words that they were made of.

    Args:
        words: By language.
        batches: Merges by number of symbol; those of one batch can be made together.
    """

    words: Words
    batches: tuple[tuple[Pair, ...], ...]

    @classmethod
    def of(cls, words: Words, *, mode: Mode, merges: int) -> Self:
        """The list for a tokenizer of so many merges.

        Raises:
            DocumentError: there are no words.
        """
        if not any(words.values()):
            raise DocumentError("has no words", where="parallel set")
        return cls(words, tuple(_made(words, mode, LISTED * merges)))

    def __len__(self) -> int:
        return sum(len(batch) for batch in self.batches)

    @cached_property
    def merges(self) -> tuple[Pair, ...]:
        """All of them, in order."""
        return tuple(pair for batch in self.batches for pair in batch)

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(sorted(self.words))

    def counts(self, words: Mapping[bytes, int]) -> Ints:
        """[merges] How often each is made in a text, if all are made in their order."""
        chains = WordChains(words)
        made = [chains.merge(batch).made for batch in self.batches]
        return np.concatenate([np.empty(0, np.int64), *made])

    @cached_property
    def public(self) -> Ints:
        """[languages, merges] The same in the words of each language."""
        return np.stack([self.counts(self.words[language]) for language in self.languages])

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical_json(
            {
                "batches": [[list(pair) for pair in batch] for batch in self.batches],
                "words": {
                    language: {word.decode(): count for word, count in words.items()}
                    for language, words in self.words.items()
                },
            }
        )

    @cached_property
    def digest(self) -> Digest:
        return digest_bytes(self.encode())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` writes.

        Raises:
            DocumentError: it is something else, or merges that cannot be made one after the other.
        """
        where = "list of merges"
        try:
            value = parse_canonical(data, where=where, max_bytes=MAX_LIST_BYTES)
            words = {
                str(language): {str(word).encode(): int(count) for word, count in found.items()}
                for language, found in value["words"].items()
            }
            pairs = [[(int(a), int(b)) for a, b in batch] for batch in value["batches"]]
            found = cls(words, tuple(tuple(batch) for batch in pairs))
            found._check()
        except (ConcordError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DocumentError("is none", where=where) from error
        if found.encode() != data:
            raise DocumentError("is not in its one form", where=where)
        return found

    def _check(self) -> None:
        vocabulary = Vocabulary()
        for batch in self.batches:
            known = len(vocabulary)
            if not batch or overlaps(batch):
                raise ValueError("merges that cannot be made together")
            for pair in batch:
                if not all(0 < symbol < known for symbol in pair):
                    raise ValueError("a symbol that does not exist")
                vocabulary.add(pair)
        for words in self.words.values():
            if not words or min(words.values()) < 1 or not all(map(_is_word, words)):
                raise ValueError("a word that occurs nowhere, or is none")


def _is_word(word: bytes) -> bool:
    return 0 < len(word) <= MAX_WORD_BYTES


def _made(words: Words, mode: Mode, limit: int) -> Iterator[tuple[Pair, ...]]:
    """Batches of merges, as training on the words alone makes them, up to `limit` in all."""
    languages, vocabulary = sorted(words), Vocabulary()
    chains = {language: WordChains(words[language]) for language in languages}
    choice: Choice = (
        OrdinaryChoice(languages, min_count=1)
        if mode == "ordinary"
        else ParityChoice(
            ParallelText(words),
            {language: (language,) for language in languages},
            min_count=1,
            min_parallel_count=1,
        )
    )
    changes = {language: Change(one.pairs(), NO_COUNTS) for language, one in chains.items()}
    batch: list[Pair] = []
    while True:
        choice.learn(batch, changes)
        batch = choice.choose(vocabulary, limit - len(vocabulary.merges))
        if not batch:
            return
        yield tuple(batch)
        changes = {language: one.merge(batch) for language, one in chains.items()}
