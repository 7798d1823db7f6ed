"""Exact weights and the cap per legal owner. The first tests are defects seen elsewhere."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from updatelab import LAWS

from concord.base.errors import DocumentError
from concord.base.shares import cap_shares
from concord.update.weights import float32_weight, merge_weights


def weights(charter, cap, owners=None):
    named = {f"m{i}": Fraction(w) for i, w in enumerate(charter)}
    return list(merge_weights(named, owners=owners or {}, cap=Fraction(cap)).values())


def test_cap_two_fifths_of_two_members_is_refused_not_renormalised():
    with pytest.raises(DocumentError, match="cannot make up the whole"):
        weights([5, 1], Fraction(2, 5))


@pytest.mark.parametrize(("members", "cap"), [(3, Fraction(3, 10)), (1, Fraction(1, 2))])
def test_too_few_members_for_the_cap_are_refused(members, cap):
    with pytest.raises(DocumentError):
        weights([1] * members, cap)


def test_equal_weights_do_not_escape_the_cap():
    with pytest.raises(DocumentError):
        weights([1, 1], Fraction(34, 100))


def test_one_owner_with_three_nodes_has_one_cap():
    owners = {"m0": "mallory", "m1": "mallory", "m2": "mallory"}
    assert weights([9, 9, 9, 1], Fraction(1, 2), owners) == [Fraction(1, 6)] * 3 + [Fraction(1, 2)]


@pytest.mark.parametrize("weight", [float("inf"), float("nan"), 1e9, 1, Fraction(0), Fraction(-1)])
def test_a_weight_that_is_no_positive_fraction_is_refused_with_the_members_name(weight):
    with pytest.raises(DocumentError, match="mallory"):
        merge_weights({"ada": Fraction(1), "mallory": weight}, owners={}, cap=Fraction(1))


@pytest.mark.parametrize("cap", [Fraction(0), Fraction(-1), Fraction(3, 2), 0.5])
def test_a_cap_that_is_no_share_is_refused(cap):
    with pytest.raises(DocumentError, match="owner cap"):
        merge_weights({"ada": Fraction(1)}, owners={}, cap=cap)


def test_nobody_accepted_is_refused():
    with pytest.raises(DocumentError):
        merge_weights({}, owners={}, cap=Fraction(1))


def test_the_published_vector():
    assert weights([Fraction(7, 10), Fraction(2, 10), Fraction(1, 10)], Fraction(2, 5)) == [
        Fraction(2, 5),
        Fraction(2, 5),
        Fraction(1, 5),
    ]


def test_a_member_without_owner_is_its_own():
    assert weights([1, 1], Fraction(1, 2), {"m0": ""}) == [Fraction(1, 2), Fraction(1, 2)]


positive = st.integers(1, 10**9)


@LAWS
@given(
    charter=st.lists(positive, min_size=1, max_size=12),
    owner_numbers=st.lists(st.integers(0, 5), min_size=12, max_size=12),
    cap=st.fractions(Fraction(1, 20), 1),
)
def test_laws_of_weights_for_all_members_owners_and_caps(charter, owner_numbers, cap):
    members = {f"m{i:02}": Fraction(w) for i, w in enumerate(charter)}
    owners = {m: f"owner{n}" for m, n in zip(members, owner_numbers, strict=False)}
    count = len(set(owners.values()))
    if count * cap < 1:
        with pytest.raises(DocumentError):
            merge_weights(members, owners=owners, cap=cap)
        return
    result = merge_weights(members, owners=owners, cap=cap)
    assert sum(result.values()) == 1
    assert all(w > 0 for w in result.values())
    shares = {}
    for member, weight in result.items():
        shares[owners[member]] = shares.get(owners[member], 0) + weight
    assert max(shares.values()) <= cap
    for one in members:
        for other in members:
            in_proportion = result[one] * members[other] == result[other] * members[one]
            same_owner = owners[one] == owners[other]
            both_free = shares[owners[one]] < cap and shares[owners[other]] < cap
            assert in_proportion or not (same_owner or both_free)


@LAWS
@given(st.lists(positive, min_size=1, max_size=9), st.fractions(Fraction(1, 9), 1), st.randoms())
def test_neither_order_nor_scale_of_charter_weights_matters(charter, cap, random):
    assume(len(charter) * cap >= 1)
    named = [(f"m{i}", Fraction(w)) for i, w in enumerate(charter)]
    shuffled = random.sample(named, len(named))
    scaled = {member: weight / 7 for member, weight in shuffled}
    expected = merge_weights(dict(named), owners={}, cap=cap)
    assert merge_weights(scaled, owners={}, cap=cap) == expected
    assert list(merge_weights(scaled, owners={}, cap=cap)) == sorted(expected)


@LAWS
@given(st.lists(positive, min_size=1, max_size=9))
def test_a_cap_of_one_changes_nothing(charter):
    shares = {str(i): Fraction(w, sum(charter)) for i, w in enumerate(charter)}
    assert cap_shares(shares, Fraction(1)) == shares


@LAWS
@given(st.fractions(Fraction(1, 10**6), 1))
def test_a_float32_weight_is_within_half_a_last_place(weight):
    error = abs(Fraction(float(float32_weight(weight))) - weight)
    assert error <= weight * Fraction(1001, 1000 * 2**24)
