"""The sealed sum is the plain sum, bit for bit, whoever drops out."""

from itertools import combinations

import numpy as np
import pytest
from seallab import Party, cohort_of, instance_of, plain_sum, random_values

from concord.crypto.seal import IndexSet, Ring, threshold_of


def subsets(size: int, least: int):
    return (
        IndexSet(chosen)
        for count in range(least, size + 1)
        for chosen in combinations(range(size), count)
    )


@pytest.mark.parametrize(("size", "threshold"), [
    (3, 3), (5, 4), (8, 6), (16, 11), (32, 22), (200, 134),
])  # fmt: skip
def test_threshold_is_more_than_two_thirds(size: int, threshold: int) -> None:
    assert threshold_of(size) == threshold


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("size", [3, 4, 5, 6, 7, 8])
def test_sum_is_exact_for_every_set_of_drop_outs(size: int, bits: int) -> None:
    """All masking sets W, and of each all survivor sets U, that are large enough."""
    rng = np.random.default_rng(size)
    cohort, ring = cohort_of(size), Ring(bits, size)
    party = Party(cohort)
    session = party.set_up(instance_of(cohort))
    values = {i: random_values(ring, 5, rng) for i in range(size)}
    for masked in subsets(size, cohort.least):
        vectors = {i: session.masked(i, values[i], masked, ring) for i in masked.indices}
        for count in range(cohort.least, len(masked) + 1):
            for chosen in combinations(masked.indices, count):
                survivors = IndexSet(chosen)
                answers = session.answers(masked, survivors)
                opening = session.open(masked, survivors, answers)
                found = opening.sum({i: vectors[i] for i in chosen}, ring)
                assert (found == plain_sum(values, survivors)).all()
                assert not opening.faults


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("size", [9, 12, 16, 24, 31, 32])
def test_sum_is_exact_for_random_drop_outs(size: int, bits: int) -> None:
    rng = np.random.default_rng(size + bits)
    cohort, ring = cohort_of(size), Ring(bits, size)
    session = Party(cohort).set_up(instance_of(cohort))
    values = {i: random_values(ring, 1000, rng) for i in range(size)}
    count_W = int(rng.integers(cohort.least, size + 1))
    masked = IndexSet.of(rng.choice(size, count_W, replace=False).tolist())
    count_U = int(rng.integers(cohort.least, count_W + 1))
    survivors = IndexSet.of(rng.choice(masked.indices, count_U, replace=False).tolist())
    answering = rng.choice(survivors.indices, cohort.threshold, replace=False).tolist()
    opening = session.open(masked, survivors, session.answers(masked, survivors, answering))
    vectors = {i: session.masked(i, values[i], masked, ring) for i in survivors.indices}
    assert (opening.sum(vectors, ring) == plain_sum(values, survivors)).all()
