"""Which tokens a member trains on at which step: a pure function of seed, member and step.

In each epoch the sequence of T tokens, closed to a ring and begun at a new place, is cut into
W = T // context windows, which overlap only in that the last target of one is the first input of
the next. Their order is a permutation drawn for that epoch. Sample n (counted over all steps) is
window n mod W of epoch n // W. So any step can be asked for by itself: to resume, or to replay.

The permutation sorts the windows by the outputs of SplitMix64 (Steele, Lea, Flood 2014), whose
seed is a BLAKE2b hash of seed, member and epoch; it does not change with numpy's generators.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from concord.base.canonical import canonical_json
from concord.base.errors import CorpusTooSmall, DocumentError

MAX_SEED = 2**53 - 1
_PERSON = b"concord-samples"
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


class TokenSequence(Protocol):
    """What samples are cut from; `TokenShards` is one."""

    @property
    def token_count(self) -> int: ...

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]: ...


class SampleOrder:
    """The samples of one member in one run.

    Args:
        shards: The member's tokens.
        seed: The run's seed, which JSON can carry: of less than 2^53.
        member: The member's id, so that two members with the same text see different orders.
        context: Tokens a sample holds; it comes with one more, its last target.

    Raises:
        DocumentError: the context is not positive, or the seed too large.
    """

    def __init__(self, shards: TokenSequence, *, seed: int, member: str, context: int) -> None:
        if context < 1:
            raise DocumentError(f"a context of {context} tokens", remedy="use 1 or more")
        if abs(seed) > MAX_SEED:
            raise DocumentError(f"a seed of {seed}", remedy=f"use one up to {MAX_SEED}")
        self._shards = shards
        self._seed = seed
        self._member = member
        self._context = context
        self._epoch = lru_cache(maxsize=2)(self._drawn_epoch)

    @property
    def windows(self) -> int:
        """Samples of an epoch."""
        return self._shards.token_count // self._context

    def check(self, batch_size: int) -> None:
        """See that one epoch makes at least one batch.

        Raises:
            CorpusTooSmall: it does not.
        """
        if self.windows < batch_size:
            raise CorpusTooSmall(
                f"its text makes {self._shards.token_count:,} tokens, less than one batch of"
                f" {batch_size:,} × {self._context:,}",
                where=self._member,
                remedy="add text to the files that its member.toml names, or lower"
                " inner.batch_tokens or model.context in the run document",
            )

    def batch(self, step: int, batch_size: int) -> NDArray[np.int64]:
        """[batch_size, context + 1] Token ids of the samples of a global step, counted from 0.

        Raises:
            CorpusTooSmall: the text makes less than one batch.
        """
        self.check(batch_size)
        samples = step * batch_size + np.arange(batch_size, dtype=np.int64)
        epochs, places = np.divmod(samples, self.windows)
        starts = np.empty(batch_size, np.int64)
        for epoch in np.unique(epochs).tolist():
            begin, order = self._epoch(epoch)
            inside = epochs == epoch
            starts[inside] = begin + order[places[inside]].astype(np.int64) * self._context
        positions = starts[:, None] + np.arange(self._context + 1, dtype=np.int64)
        return self._shards.at(positions % self._shards.token_count)

    def were_drawn(
        self, positions: NDArray[np.int64], steps: int, batch_size: int
    ) -> NDArray[np.bool_]:
        """[positions] Whether the first `steps` steps read a token as an input."""
        drawn = np.zeros(len(positions), np.bool_)
        left, epoch = steps * batch_size, 0
        while left > 0 and not drawn.all():
            begin, order = self._epoch(epoch)
            place = np.full(self.windows + 1, left, np.int64)  # what an epoch leaves over: not read
            place[order[:left]] = np.arange(min(left, self.windows))
            window = (positions - begin) % self._shards.token_count // self._context
            drawn |= place[np.minimum(window, self.windows)] < left
            left, epoch = left - self.windows, epoch + 1
        return drawn

    def _drawn_epoch(self, epoch: int) -> tuple[int, NDArray[np.uint32]]:
        """Where the ring of tokens begins, and the order of its windows."""
        name = canonical_json([self._seed, self._member, epoch])
        digest = hashlib.blake2b(name, digest_size=16, person=_PERSON).digest()
        begin = int.from_bytes(digest[:8], "little") % self._shards.token_count
        keys = _split_mix(int.from_bytes(digest[8:], "little"), self.windows)
        return begin, np.argsort(keys, kind="stable").astype(np.uint32)


def _split_mix(seed: int, count: int) -> NDArray[np.uint64]:
    """The first `count` outputs of SplitMix64; no two are equal."""
    values = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN + np.uint64(seed)
    for shift, multiplier in _MIXERS:
        values ^= values >> np.uint64(shift)
        values *= np.uint64(multiplier)
    values ^= values >> np.uint64(31)
    return values
