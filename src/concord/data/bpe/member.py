"""The member's side of a tokenizer session: counts its own text, makes the merges it is told.

Text and words stay here. What leaves is how often pairs of symbols stand side by side, and of
these only pairs that occurred at least `min_floor` times when they first came to be.
"""

from __future__ import annotations

from collections.abc import Iterable

from concord.base.errors import MessageRefused, TokenizerError
from concord.data.bpe.alphabet import FIRST_MERGE_ID
from concord.data.bpe.batch import overlaps
from concord.data.bpe.chains import Change, WordChains
from concord.data.bpe.pairs import NO_COUNTS, Counts, PairTable
from concord.data.bpe.wire import Answer, Request, decode_request, encode_answer
from concord.data.bpe.words import count_words


class CountingMember:
    """Answers a session's requests from one member's text.

    Args:
        texts: The member's documents, NFC-normalised.
        max_bytes: How much of the text is counted, in bytes of UTF-8.
        min_floor: The member's own limit: a request that asks for rarer pairs is refused.

    Raises:
        TokenizerError: there is no text, or it is not valid Unicode.
        DocumentError: `max_bytes` is not above 0.
    """

    def __init__(self, texts: Iterable[str], *, max_bytes: int, min_floor: int = 1) -> None:
        words = count_words(texts, max_bytes=max_bytes)
        if not words:
            raise TokenizerError("no text to count pairs in", remedy="give this member some text")
        self._chains = WordChains(words)
        self._min_floor = min_floor
        self._known = PairTable()
        self._floor = 0
        self._exchange = 0
        self._symbols = FIRST_MERGE_ID

    def answer(self, request: bytes) -> bytes:
        """Make the merges of `request` and tell what changed.

        Raises:
            MessageRefused: the request is malformed, out of turn, asks for pairs that are too
                rare, or for merges that cannot be made together. Nothing has then changed.
        """
        asked = decode_request(request)
        self._check(asked)
        if asked.exchange == 0:
            self._floor = asked.floor
            change = Change(self._chains.pairs(), NO_COUNTS)
        else:
            change = self._chains.merge(asked.merges)
        self._exchange += 1
        self._symbols += len(asked.merges)
        return encode_answer(Answer(asked.exchange, self._published(change)))

    def _check(self, asked: Request) -> None:
        if asked.exchange != self._exchange:
            raise MessageRefused(
                f"exchange {asked.exchange} where {self._exchange} is due",
                remedy="start the session again",
            )
        if asked.floor < self._min_floor or asked.floor != (self._floor or asked.floor):
            raise MessageRefused(f"asks for pairs that occur only {asked.floor} times")
        if (asked.exchange == 0) != (not asked.merges) or overlaps(asked.merges):
            raise MessageRefused("merges that cannot be made together")
        if any(not 0 < symbol < self._symbols for pair in asked.merges for symbol in pair):
            raise MessageRefused("merges a symbol that does not exist")

    def _published(self, change: Change) -> Change:
        if self._floor <= 1:
            return change
        frequent = change.born.amounts >= self._floor
        born = Counts(change.born.keys[frequent], change.born.amounts[frequent])
        lost = self._known.known(change.lost)
        self._known.add(born)
        return Change(born, lost)
