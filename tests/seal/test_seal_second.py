"""A second implementation, written from docs/sealed.md alone, gets the same sums and cohorts."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import second_opener as second
from seallab import Party, cohort_of, instance_of, plain_sum, random_values

from concord.crypto.seal import IndexSet, Ring, beacon_commitment, draw_cohorts, draw_seed


@pytest.mark.parametrize(("size", "bits", "masked", "survivors"), [
    (3, 32, (0, 1, 2), (0, 1, 2)),
    (5, 16, (0, 1, 2, 3, 4), (0, 1, 2, 4)),
    (8, 16, (0, 1, 2, 3, 4, 6, 7), (1, 2, 3, 4, 6, 7)),
    (8, 32, tuple(range(8)), (0, 2, 3, 4, 5, 7)),
])  # fmt: skip
def test_both_get_the_same_sum_from_the_same_bytes(size, bits, masked, survivors) -> None:
    rng = np.random.default_rng(size)
    cohort, ring = cohort_of(size), Ring(bits, size)
    instance, w, u = instance_of(cohort), IndexSet(masked), IndexSet(survivors)
    session = Party(cohort).set_up(instance)
    values = {i: random_values(ring, 100, rng) for i in range(size)}
    found = second.sealed_sum(
        list(cohort.members),
        {
            "run": instance.run, "round_": instance.round, "fragment": instance.fragment,
            "attempt": instance.attempt, "roster": instance.roster, "model": instance.model,
            "config": instance.config,
        },
        {i: setup.encode() for i, setup in session.setups.items()},
        list(masked),
        list(survivors),
        {answer.member: answer.encode() for answer in session.answers(w, u)},
        {i: session.masked(i, values[i], w, ring).tobytes() for i in survivors},
        bits,
    )  # fmt: skip
    assert found == plain_sum(values, u).tolist()
    assert cohort.digest == second.cohort_digest(list(cohort.members))


def test_both_draw_the_same_cohorts() -> None:
    entities = {f"m{i:02}": f"e{i // 2 if i < 6 else i}" for i in range(21)}
    for number in range(10):
        seed = hashlib.sha256(bytes([number])).digest()
        ours = draw_cohorts(seed, entities, target=8, min_survivors=5)
        assert [list(one.members) for one in ours] == second.drawn(seed, entities, 8)


def test_both_have_the_same_seed_and_commitments() -> None:
    beacons = {"ü": b"\x01" * 32, "a": b"\x02" * 32, "z": b"\x03" * 32}
    commitments = {
        name: second.h("beacon/commit", second.u16(len(name.encode())), name.encode(), beacon)
        for name, beacon in beacons.items()
    }
    assert commitments == {name: beacon_commitment(name, one) for name, one in beacons.items()}
    seed = second.h("beacon", b"\x09" * 32, beacons["a"], beacons["z"], beacons["ü"])
    assert draw_seed(b"\x09" * 32, commitments, beacons) == seed
