"""Keys of an epoch and cohorts: substituted, weak or copied keys, and draws that somebody bends."""

from __future__ import annotations

import hashlib
import os
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seallab import digest

from concord.base.errors import SealRefused
from concord.crypto.seal import (
    Cohort,
    EpochKey,
    EpochPrivateKey,
    beacon_commitment,
    decode_sealed,
    draw_cohorts,
    draw_seed,
    encode_sealed,
    epoch_digest,
    open_pair_secret,
    pair_keys,
    seal_pair_secrets,
)
from concord.crypto.seal.cohorts import below
from concord.crypto.seal.epoch import KEM_KEY_BYTES, SEALED_BYTES

RUN = digest(1)
SIZE = 4
PRIVATE = [EpochPrivateKey.generate() for _ in range(SIZE)]
LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
"""X25519 points whose order divides 8, as RFC 7748 section 6.1 warns of them."""


def published(private=PRIVATE) -> list[EpochKey]:
    return [
        EpochKey(key.public, beacon_commitment(f"m{i}", digest(i))) for i, key in enumerate(private)
    ]


def test_both_ends_of_each_pair_hold_one_key_that_nobody_else_holds() -> None:
    keys = published()
    drawn, sealed = zip(*(seal_pair_secrets(RUN, keys, i, os.urandom) for i in range(SIZE)),
                        strict=True)  # fmt: skip
    held = []
    for me in range(SIZE):
        theirs = {
            j: open_pair_secret(
                RUN, keys, PRIVATE[me], me=me, of=j,
                data=decode_sealed(encode_sealed(sealed[j], SIZE, j), SIZE, j)[me],
            )
            for j in range(SIZE) if j != me
        }  # fmt: skip
        held.append(pair_keys(me, drawn[me], theirs))
    for i in range(SIZE):
        for j in range(i):
            assert held[i][j] == held[j][i]
    assert len({key for mine in held for key in mine.values()}) == SIZE * (SIZE - 1) // 2
    assert all(len(one) == SEALED_BYTES == 1168 for one in sealed[0].values())


def sealed_for(me: int, of: int, keys=None, run=RUN) -> bytes:
    return seal_pair_secrets(run, keys or published(), of, os.urandom)[1][me]


def test_a_secret_opens_under_its_run_epoch_and_pair_alone() -> None:
    keys = published()
    data = sealed_for(0, 1)
    open_pair_secret(RUN, keys, PRIVATE[0], me=0, of=1, data=data)
    others = [*keys[:3], EpochKey(keys[3].key, digest(99))]
    for run, epoch, private, of, bad in (
        (digest(2), keys, PRIVATE[0], 1, data),
        (RUN, others, PRIVATE[0], 1, data),
        (RUN, keys, PRIVATE[2], 1, data),
        (RUN, keys, PRIVATE[0], 2, data),
        (RUN, keys, PRIVATE[0], 1, data[:-1] + bytes([data[-1] ^ 1])),
        (RUN, keys, PRIVATE[0], 1, bytes([data[0] ^ 1]) + data[1:]),
        (RUN, keys, PRIVATE[0], 1, data[:-1]),
        (RUN, keys, PRIVATE[0], 1, b""),
        (RUN, keys, PRIVATE[0], 1, bytes(SEALED_BYTES)),
    ):
        with pytest.raises(SealRefused):
            open_pair_secret(run, epoch, private, me=0, of=of, data=bad)


def test_a_key_that_was_substituted_opens_nothing() -> None:
    """A8: the coordinator shows member 1 its own key in place of member 2's."""
    keys, mallory = published(), EpochPrivateKey.generate()
    shown = [*keys[:2], EpochKey(mallory.public, keys[2].beacon_commitment), keys[3]]
    with pytest.raises(SealRefused):  # the others see another epoch
        open_pair_secret(RUN, keys, PRIVATE[0], me=0, of=1, data=sealed_for(0, 1, shown))
    assert epoch_digest(shown) != epoch_digest(keys)


@pytest.mark.parametrize("length", [0, 32, KEM_KEY_BYTES, KEM_KEY_BYTES + 31, KEM_KEY_BYTES + 64])
def test_one_half_alone_is_no_key(length: int) -> None:
    """A8: no downgrade to the classical half, nor to the other."""
    with pytest.raises(SealRefused, match="bytes"):
        EpochKey(os.urandom(length), digest(0))


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_classical_half_of_low_order_is_refused(point: str) -> None:
    key = PRIVATE[0].public[:KEM_KEY_BYTES] + bytes.fromhex(point)
    with pytest.raises(SealRefused, match="no usable key"):
        EpochKey(key, digest(0))


def test_a_post_quantum_half_out_of_range_is_refused() -> None:
    key = b"\xff" * KEM_KEY_BYTES + PRIVATE[0].public[KEM_KEY_BYTES:]
    with pytest.raises(SealRefused, match="no usable key"):
        EpochKey(key, digest(0))


@pytest.mark.parametrize("copied", ["all", "post-quantum", "classical", "beacon"])
def test_equal_keys_are_refused(copied: str) -> None:
    keys = published()
    kem, dh, commitment = keys[3].key[:KEM_KEY_BYTES], keys[3].key[KEM_KEY_BYTES:], digest(9)
    if copied in ("all", "post-quantum"):
        kem = keys[1].key[:KEM_KEY_BYTES]
    if copied in ("all", "classical"):
        dh = keys[1].key[KEM_KEY_BYTES:]
    if copied == "beacon":
        commitment = keys[1].beacon_commitment
    keys[3] = EpochKey(kem + dh, commitment)
    with pytest.raises(SealRefused, match="members 1 and 3 have the same"):
        epoch_digest(keys)


def test_a_private_key_comes_back_from_disk() -> None:
    again = EpochPrivateKey.decode(PRIVATE[0].encode())
    assert again.public == PRIVATE[0].public
    keys = published()
    assert open_pair_secret(RUN, keys, again, me=0, of=1, data=sealed_for(0, 1))
    assert repr(again) == "EpochPrivateKey(...)"
    with pytest.raises(SealRefused):
        EpochPrivateKey.decode(bytes(95))


def test_a_missing_secret_of_a_pair_is_refused() -> None:
    with pytest.raises(SealRefused, match="missing"):
        pair_keys(0, {1: digest(1), 2: digest(2)}, {1: digest(3)})


# --- cohorts ---------------------------------------------------------------------------------


def beacons_of(names: list[str]) -> dict[str, bytes]:
    return {name: hashlib.sha256(name.encode()).digest() for name in names}


def test_a_beacon_other_than_committed_is_refused() -> None:
    """A9: who saw the others' beacons cannot choose its own."""
    beacons = beacons_of(["a", "b", "c"])
    commitments = {name: beacon_commitment(name, beacon) for name, beacon in beacons.items()}
    assert draw_seed(digest(1), commitments, beacons)
    with pytest.raises(SealRefused, match="b: the revealed beacon"):
        draw_seed(digest(1), commitments, beacons | {"b": digest(5)})
    with pytest.raises(SealRefused, match="d"):
        draw_seed(digest(1), commitments, beacons | {"d": digest(5)})
    with pytest.raises(SealRefused, match="b"):  # a commitment copied from another member
        draw_seed(digest(1), commitments | {"b": commitments["a"]}, beacons | {"b": beacons["a"]})


def test_every_beacon_and_the_checkpoint_change_the_seed() -> None:
    """A withheld beacon gives another draw, which its owner is then out of."""
    beacons = beacons_of(["a", "b", "c"])
    commitments = {name: beacon_commitment(name, beacon) for name, beacon in beacons.items()}
    seeds = {draw_seed(digest(1), commitments, beacons), draw_seed(digest(2), commitments, beacons)}
    for out in beacons:
        rest = {name: beacon for name, beacon in beacons.items() if name != out}
        seeds.add(draw_seed(digest(1), commitments, rest))
    assert len(seeds) == 5


@given(st.integers(3, 60), st.integers(3, 16), st.binary(min_size=32, max_size=32))
@settings(max_examples=60)
def test_cohorts_divide_the_roster_evenly(size: int, target: int, seed: bytes) -> None:
    names = [f"m{i}" for i in range(size)]
    cohorts = draw_cohorts(seed, {name: name for name in names}, target=target, min_survivors=3)
    sizes = [cohort.size for cohort in cohorts]
    assert len(cohorts) == max(1, size // target)
    assert max(sizes) - min(sizes) <= 1
    assert sorted(name for cohort in cohorts for name in cohort.members) == sorted(names)


def test_members_of_one_entity_are_never_masked_together() -> None:
    """A9: who controls several members cannot pack a cohort with them."""
    entities = {f"m{i:02}": f"e{i // 2 if i < 8 else i}" for i in range(24)}
    for number in range(20):
        seed = hashlib.sha256(bytes([number])).digest()
        for cohort in draw_cohorts(seed, entities, target=8, min_survivors=5):
            assert len({entities[name] for name in cohort.members}) == cohort.size


def test_an_entity_with_more_members_than_cohorts_is_refused() -> None:
    entities = {f"m{i}": "one" if i < 3 else f"e{i}" for i in range(16)}
    with pytest.raises(SealRefused, match="controls more members"):
        draw_cohorts(digest(1), entities, target=8, min_survivors=5)


class Numbers:
    """A stream of given numbers, as `Keystream` would give them."""

    def __init__(self, *numbers: int) -> None:
        self._left = list(numbers)

    def read(self, count: int) -> bytes:
        return self._left.pop(0).to_bytes(count, "big")


def test_numbers_that_would_lean_to_small_ones_are_skipped() -> None:
    """2^32 = 3 * 1431655765 + 1: the last number would make 0 more likely than 1 and 2."""
    assert below(3, Numbers(2**32 - 1, 7)) == 1
    assert below(3, Numbers(2**32 - 2)) == 2
    assert below(2**31, Numbers(2**32 - 1)) == 2**31 - 1


def test_every_member_is_as_likely_in_every_place() -> None:
    names = {f"m{i}": f"m{i}" for i in range(6)}
    together = Counter()
    draws = 1500
    for number in range(draws):
        seed = hashlib.sha256(number.to_bytes(4, "big")).digest()
        first = draw_cohorts(seed, names, target=3, min_survivors=3)[0].members
        together.update((a, b) for a in first for b in first if a < b)
    assert len(together) == 15
    # Each pair is in the first cohort with probability 1/5; five standard deviations.
    assert all(abs(count - draws / 5) < 5 * (draws * 0.16) ** 0.5 for count in together.values())


def test_a_draw_does_not_depend_on_the_order_of_the_roster() -> None:
    names = {f"m{i:02}": f"e{i % 12}" for i in range(16)}
    cohorts = draw_cohorts(digest(7), names, target=8, min_survivors=5)
    again = draw_cohorts(digest(7), dict(reversed(names.items())), target=8, min_survivors=5)
    assert cohorts == again


@pytest.mark.parametrize(("members", "minimum"), [
    (("a", "b"), 3), (("a", "b", "c"), 2), (("a", "b", "c"), 4), (("b", "a", "c"), 3),
    (("a", "a", "c"), 3), (tuple(f"{i:03}" for i in range(201)), 5),
])  # fmt: skip
def test_a_cohort_that_hides_nobody_is_refused(members, minimum) -> None:
    """A10: n - 1 colluders learn the rest, so nobody is masked with fewer than two others."""
    with pytest.raises(SealRefused):
        Cohort(members, minimum)


def test_three_or_four_members_need_a_minimum_named() -> None:
    with pytest.raises(SealRefused, match="name a lower minimum"):
        Cohort(("a", "b", "c", "d"))
    assert Cohort(("a", "b", "c", "d"), 3).least == 3


def test_who_is_not_in_the_cohort_has_no_index() -> None:
    cohort = Cohort(("a", "b", "c"), 3)
    assert cohort.index("b") == 1
    with pytest.raises(SealRefused, match="d: is not in the cohort"):
        cohort.index("d")
