"""What an observer of a round sees: noise, whatever the values are."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from seallab import cohort_of, instance_of, random_values

from concord.crypto.seal import IndexSet, Ring, make_setup, mask, mask_keys

SIZE = 3
COHORT = cohort_of(SIZE)
ALL = IndexSet(tuple(range(SIZE)))
RING = Ring(16, SIZE)


class Stream:
    """Random bytes that are the same in every run of the tests."""

    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0

    def __call__(self, count: int) -> bytes:
        self._count += 1
        seed = f"{self._name} {self._count}".encode()
        return hashlib.shake_256(seed).digest(count)


def pair_keys_of(stream: Stream) -> list[dict[int, bytes]]:
    found: list[dict[int, bytes]] = [{} for _ in range(SIZE)]
    for i in range(SIZE):
        for j in range(i):
            found[i][j] = found[j][i] = stream(32)
    return found


def masked_of(me: int, values: np.ndarray, keys, round_: int, stream: Stream) -> np.ndarray:
    instance = instance_of(COHORT, round=round_)
    own = make_setup(instance, COHORT, me, keys[me], stream)
    masks = mask_keys(instance, COHORT, own, keys[me], ALL)
    return mask(values.copy(), RING, masks)


def test_a_masked_vector_looks_like_noise_in_100_of_100_trials() -> None:
    """Invariant 3: chi-squared of bytes below 330 (255 degrees of freedom), correlation below
    5/sqrt(d); once with values that are all the same, once with values over the whole range.

    True noise passes one trial with probability 0.999, so the seed is fixed; the mean over all
    trials would hold for nearly every seed.
    """
    count = 20_000
    stream = Stream("looks 0")
    keys = pair_keys_of(stream)
    rng = np.random.default_rng(0)
    found = []
    for trial in range(100):
        values = random_values(RING, count, rng)
        if trial % 2:
            values[:-64] = RING.largest
        vector = masked_of(0, values, keys, trial, stream)
        counts = np.bincount(np.frombuffer(vector.tobytes(), np.uint8), minlength=256)
        expected = vector.nbytes / 256
        found.append(((counts - expected) ** 2).sum() / expected)
        if not trial % 2:
            assert abs(np.corrcoef(vector.view(np.int16), values)[0, 1]) < 5 / np.sqrt(count)
    assert max(found) < 330
    assert abs(np.mean(found) - 255) < 5 * np.sqrt(2 * 255 / 100)


@pytest.mark.parametrize("masked", [True, False])
def test_a_view_does_not_tell_who_sent_what(masked: bool) -> None:
    """Invariant 8: the view of x and that of x' with the same sum; 2,000 rounds.

    The classifier correlates a vector with the two candidates. Without masks it is always right.
    Its area under the curve varies by 0.013 for true noise, so the seed is fixed.
    """
    count, rounds = 64, 2000
    stream = Stream("views 1")
    keys = pair_keys_of(stream)
    rng = np.random.default_rng(1)
    x = [random_values(RING, count, rng) // 2 for _ in range(SIZE)]
    other = [x[1], x[2], x[0]]
    scores: dict[int, list[float]] = {0: [], 1: []}
    for round_ in range(rounds):
        truth = int(rng.integers(2))
        sent = (x, other)[truth][0]
        if masked:
            sent = masked_of(0, sent, keys, round_, stream).view(np.int16)
        difference = (other[0].astype(np.int64) - x[0]).astype(np.float64)
        scores[truth].append(float(sent.astype(np.float64) @ difference))
    ranks = np.argsort(np.argsort([*scores[0], *scores[1]]))
    zeros, ones = len(scores[0]), len(scores[1])
    auc = (ranks[zeros:].sum() - ones * (ones - 1) / 2) / (zeros * ones)
    assert abs(auc - 0.5) < 0.02 if masked else auc == 1.0
