"""Canaries: documents of chance that are planted in a member's text, to see what becomes of them.

A secret of 32 bytes decides everything: the tokens of each canary, its place, and by a fair coin
whether it is planted at all. Before training its digest is committed to; whoever is shown the
secret later can make the same canaries and coins. Nobody can guess one: 24 tokens of a vocabulary
of 4,096 are 288 bits.

A planted canary stands *over* the text from its place on: an end token, then its tokens. So the
text keeps its length, a canary is read exactly as often as the text around it, once per epoch, and
where canaries lie tells nothing of which coin fell how. What it covers is not trained on.

    place      0 ──────── S ──────── 2S ──────── …      one canary in each stretch of S tokens
    planted    ···[end c c c]······|·············|···   by its coin
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from concord.base.canonical import canonical_json
from concord.base.digest import Digest, digest_bytes
from concord.base.errors import DocumentError
from concord.data.samples import TokenSequence

SECRET_BYTES = 32
LEAST_STRETCH = 8
"""A canary has at least so many times its own length of text for itself."""


@dataclass(frozen=True)
class CanarySet:
    """The canaries of one member in one run.

    Attributes:
        tokens: [canaries, length]
        places: [canaries] Position of the end token before each, were it planted.
        planted: [canaries] How the coin fell.
    """

    tokens: NDArray[np.int64]
    places: NDArray[np.int64]
    planted: NDArray[np.bool_]
    end_id: int

    def __len__(self) -> int:
        return len(self.tokens)

    def rows(self) -> NDArray[np.int64]:
        """[canaries, 1 + length] Each as it is planted, its end token first."""
        ends = np.full((len(self), 1), self.end_id, np.int64)
        return np.concatenate([ends, self.tokens], axis=1)


def commitment(secret: bytes, *, run: Digest, count: int, length: int) -> Digest:
    """What is published before training: it binds the secret and does not show it."""
    named = canonical_json(["concord canaries", run, count, length])
    return digest_bytes(named + secret)


def make_canaries(
    secret: bytes,
    *,
    run: Digest,
    count: int,
    length: int,
    text_tokens: int,
    vocabulary_size: int,
    end_id: int,
) -> CanarySet:
    """The canaries that follow from a secret; fewer than `count` where the text is short.

    Args:
        length: Tokens of each, without the end token before it.
        text_tokens: Tokens of the member's text.

    Raises:
        DocumentError: the secret is not 32 bytes long, or a number is impossible.
    """
    if len(secret) != SECRET_BYTES:
        raise DocumentError("the secret of canaries is not 32 bytes long")
    if length < 1 or vocabulary_size < 3:
        raise DocumentError("canaries of no token, or of no vocabulary")
    count = min(count, text_tokens // (LEAST_STRETCH * (length + 1)))
    stretch = text_tokens // count if count else 0
    draw = _words(secret, run, count * (length + 2)).reshape(count, length + 2)
    ids = (draw[:, :length] % np.uint64(vocabulary_size - 1)).astype(np.int64)
    inside = (draw[:, length] % np.uint64(max(1, stretch - length))).astype(np.int64)
    return CanarySet(
        tokens=ids + (ids >= end_id),  # every token but the end token
        places=np.arange(count, dtype=np.int64) * stretch + inside,
        planted=(draw[:, length + 1] >> np.uint64(63)).astype(bool),
        end_id=end_id,
    )


def coins(secret: bytes, *, run: Digest, count: int, length: int) -> NDArray[np.bool_]:
    """[count] How the coin of each canary fell, were the text long enough for all."""
    draw = _words(secret, run, count * (length + 2)).reshape(count, length + 2)
    return (draw[:, length + 1] >> np.uint64(63)).astype(bool)


class PlantedText:
    """A member's tokens with the planted canaries over them."""

    def __init__(self, text: TokenSequence, canaries: CanarySet) -> None:
        self._text = text
        rows = canaries.rows()[canaries.planted]
        self._starts = canaries.places[canaries.planted]
        self._width = rows.shape[1]
        self._rows = rows

    @property
    def token_count(self) -> int:
        """That of the text: canaries stand over it."""
        return self._text.token_count

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens at positions, in their shape."""
        found = self._text.at(positions)
        if not len(self._starts):
            return found
        which = np.searchsorted(self._starts, positions, side="right") - 1
        into = positions - self._starts[which.clip(0)]
        covered = (which >= 0) & (into < self._width)
        found[covered] = self._rows[which[covered], into[covered]]
        return found


def _words(secret: bytes, run: Digest, count: int) -> NDArray[np.uint64]:
    """`count` numbers of 64 bits from SHAKE-256."""
    stream = hashlib.shake_256(canonical_json(["concord canaries", run]) + secret)
    return np.frombuffer(stream.digest(8 * count), "<u8")
