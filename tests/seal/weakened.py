"""The protocol with one counter-measure taken out each: what the attacks must succeed on.

An attack that fails on everything proves nothing. Each of these differs from what members run in
one thing only, and never leaves the tests.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace

import numpy as np

from concord.crypto.seal import Cohort, MaskKeys, Opening, Ring
from concord.crypto.seal.masks import apply_masks
from concord.crypto.seal.setup import NONCE_BYTES


class HalfIsEnough(Cohort):
    """A cohort that unmasks with half of its members."""

    @property
    def threshold(self) -> int:
        return self.size // 2


def without_self_mask(keys: MaskKeys) -> MaskKeys:
    """Pairwise masks only, as in the first proposals of masked sums."""
    return replace(keys, add=keys.add[1:])


def unchecked_sum(opening: Opening, vectors: dict[int, np.ndarray], ring: Ring) -> np.ndarray:
    """The sum without a look at check elements and bounds."""
    total = sum(vectors[i].astype(np.uint64) for i in opening.survivors.indices)
    total = total.astype(ring.unsigned)
    apply_masks(total, opening.keys.add, opening.keys.subtract)
    return total.view(ring.signed)


class RestartedGenerator:
    """Randomness from a generator that begins again where it began after a crash."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def __call__(self, count: int) -> bytes:
        return self._random.randbytes(count)


class CountedNonces:
    """Random bytes, but nonces counted from 0, as by a counter that a crash sets back."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, count: int) -> bytes:
        if count != NONCE_BYTES:
            return os.urandom(count)
        self._count += 1
        return self._count.to_bytes(NONCE_BYTES, "big")


def small_seed_key(seed: int) -> bytes:
    """A mask key from a seed of few bits, as when a key is folded into a generator's seed."""
    return random.Random(seed).randbytes(32)
