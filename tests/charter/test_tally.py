"""Counting votes: each clause of a rule, and laws over all rules and ballots."""

from fractions import Fraction

import pytest
from charterlab import LAWS, electors, equals, nations, rule, rules
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import CharterError, DocumentError
from concord.charter.rules import Elector, Rule
from concord.charter.tally import Choice, Result, tally

YES, NO, ABSTAIN = Choice.YES, Choice.NO, Choice.ABSTAIN
MAJORITY = ("one", "over", "1/2")
RELEASE = rule(("one", "min", "11/20"), ("sqrt:speakers", "min", "1/2", "1/4"), quorum="2/3")


def result(rule_, members, *choices, subject=None):
    """The result when the members vote so, in order; None did not vote."""
    found = {m.id: c for m, c in zip(members, choices, strict=False) if c is not None}
    return tally(rule_, members, found, subject=subject).result


def test_a_tie_passes_at_least_one_half_and_not_more_than_one_half():
    assert result(rule(("one", "min", "1/2")), equals(4), YES, YES, NO, NO) is Result.ADOPTED
    assert result(rule(MAJORITY), equals(4), YES, YES, NO, NO) is Result.REJECTED


def test_two_thirds_of_three_is_two_and_0_667_of_three_is_three():
    assert result(rule(("one", "min", "2/3")), equals(3), YES, YES, NO) is Result.ADOPTED
    assert result(rule(("one", "min", "0.667")), equals(3), YES, YES, NO) is Result.REJECTED


def test_who_stays_away_counts_as_not_in_favour_unless_the_share_is_of_those_cast():
    assert result(rule(MAJORITY), equals(3), YES) is Result.REJECTED
    assert result(rule(MAJORITY, of="cast"), equals(3), YES) is Result.ADOPTED


def test_nobody_voting_adopts_nothing():
    assert result(rule(("one", "min", "1/12"), of="cast"), equals(3)) is Result.REJECTED
    assert result(rule(MAJORITY), []) is Result.NO_QUORUM


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [("against", Result.REJECTED), ("for", Result.ADOPTED), ("none", Result.ADOPTED)],
)
def test_an_abstention_counts_as_the_rule_says(meaning, expected):
    asked = rule(MAJORITY, abstain=meaning)
    assert result(asked, equals(3), YES, ABSTAIN, ABSTAIN) is expected


def test_all_abstaining_is_no_majority_of_nothing():
    asked = rule(("one", "min", "1/12"), abstain="none")
    assert result(asked, equals(3), ABSTAIN, ABSTAIN, ABSTAIN) is Result.REJECTED


def test_a_missed_quorum_is_told_apart_from_a_rejection_and_abstaining_helps_it():
    asked = rule(("one", "min", "1/3"), quorum="2/3")
    assert result(asked, equals(3), YES) is Result.NO_QUORUM
    assert result(asked, equals(3), YES, ABSTAIN) is Result.ADOPTED


def test_the_subject_neither_votes_nor_counts():
    asked = rule(("one", "min", "1"), excludes="subject")
    members = equals(3)
    outcome = tally(asked, members, dict.fromkeys(["m00", "m01", "m02"], YES), subject="m02")
    assert outcome.adopted
    assert outcome.uncounted == {"m02": "the proposal is about this member"}
    assert result(asked, members, YES, YES, NO, subject="m02") is Result.ADOPTED
    assert result(asked, members, YES, YES, NO) is Result.REJECTED


def test_a_veto_needs_its_number_of_votes_against():
    asked = rule(MAJORITY, veto=2)
    assert result(asked, equals(5), YES, YES, YES, YES, NO) is Result.ADOPTED
    assert result(asked, equals(5), YES, YES, YES, NO, NO) is Result.VETOED
    assert result(asked, equals(5), YES, YES, YES, ABSTAIN, NO) is Result.ADOPTED


def test_fewer_than_the_blocking_minority_cannot_block_by_weight():
    eu = [("one", "min", "11/20"), ("population", "min", "13/20")]
    all_but_india = (NO, YES, YES, YES, YES)
    assert result(rule(*eu), nations(5), *all_but_india) is Result.REJECTED
    assert result(rule(*eu, blocking=4), nations(5), *all_but_india) is Result.ADOPTED
    assert result(rule(*eu, blocking=1), nations(5), *all_but_india) is Result.REJECTED
    assert result(rule(*eu, blocking=4), nations(5), YES, YES, NO, NO, NO) is Result.REJECTED


def test_a_cap_is_shared_out_among_the_others_exactly():
    asked = rule(("speakers", "over", "3/4", "1/4"))
    members = [Elector(f"m{i}", n) for i, n in enumerate([700, 100, 100, 50, 50])]
    outcome = tally(asked, members, {"m0": YES, "m1": YES, "m2": YES})
    assert outcome.sums[0].in_favour == Fraction(1, 4) + 2 * Fraction(1, 4)
    assert not outcome.adopted
    assert "3/4 in favour, missed" in outcome.reasons[-1]


def test_a_cap_that_cannot_hold_is_raised_and_the_outcome_says_so():
    outcome = tally(RELEASE, nations(3), {"india": YES, "kenya": YES})
    assert outcome.adopted
    assert any("each counts 1/3" in reason for reason in outcome.reasons)


def test_square_roots_are_whole_and_weigh_less_than_people():
    asked = rule(("sqrt:speakers", "min", "1/3"))
    members = [Elector("large", 4_000_003), Elector("small", 1_000_000)]
    assert tally(asked, members, {"small": YES}).sums[0].in_favour == Fraction(1, 3)


def test_a_member_without_the_number_that_is_counted_is_named():
    with pytest.raises(CharterError, match=r"m1: has no number of speakers"):
        tally(rule(("speakers", "over", "1/2")), [Elector("m0", 5), Elector("m1")], {})


def test_a_stranger_s_ballot_is_listed_and_not_counted():
    outcome = tally(rule(MAJORITY), equals(3), {"m00": YES, "mallory": YES})
    assert outcome.uncounted == {"mallory": "has no vote"}
    assert outcome.sums[0].in_favour == Fraction(1, 3)


def test_an_elector_named_twice_is_refused():
    with pytest.raises(CharterError, match="twice"):
        tally(rule(MAJORITY), [*equals(3), *equals(1)], {})


@pytest.mark.parametrize("count", [-1, 10**10 + 1, True, 1.5])
def test_an_impossible_number_of_speakers_is_refused(count):
    with pytest.raises(CharterError, match="speakers"):
        Elector("m0", count)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(DocumentError):
        Elector("Ada!", 1)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"all": []}, "all"),
        ({"all": [{"by": "one"}]}, "either 'min'"),
        ({"all": [{"by": "one", "over": "1/2", "min": "1/2"}]}, "either 'min'"),
        ({"all": [{"by": "one", "over": "1"}]}, "over must be"),
        ({"all": [{"by": "one", "min": "0"}]}, "min must be"),
        ({"all": [{"by": "one", "min": 0.5}]}, "exact fraction"),
        ({"all": [{"by": "one", "min": "1e9"}]}, "not a fraction"),
        ({"all": [{"by": "gpus", "min": "1/2"}]}, "all.0.by"),
        ({"all": [{"by": "one", "min": "1/2", "cap": "0"}]}, "cap must be"),
        ({"all": [{"by": "one", "min": "1/2", "cap": "1/99999"}]}, "denominator"),
        ({"all": [{"by": "one", "min": "1/2"}], "quorum": "3/2"}, "quorum"),
        ({"all": [{"by": "one", "min": "1/2"}], "blocking": 2}, "weighted key"),
        ({"all": [{"by": "speakers", "min": "1/2"}], "blocking": 2}, "key by 'one'"),
        ({"all": [{"by": "one", "min": "1/2"}], "delay": "1.5h"}, "delay"),
        ({"all": [{"by": "one", "min": "1/2"}], "delay": True}, "delay"),
        ({"all": [{"by": "one", "min": "1/2"}], "until": "soon"}, "until"),
        ({"all": [{"by": "one", "min": "1/2"}], "vetoes": 2}, "vetoes"),
    ],
)
def test_an_impossible_rule_is_refused_naming_the_field(fields, fault):
    with pytest.raises(ValueError, match=fault):
        Rule.model_validate(fields)


def test_times_are_whole_seconds_and_a_sunset_begins_with_its_day():
    asked = rule(MAJORITY, delay="30d", open_for="72h", until="2031-01-01")
    assert (asked.delay, asked.open_for) == (2_592_000, 259_200)
    new_year_s = 1_924_992_000  # `date -u -d 2031-01-01 +%s`
    assert not asked.expired(new_year_s - 1)
    assert asked.expired(new_year_s)
    assert not rule(MAJORITY).expired(new_year_s)
    assert Rule.model_validate(asked.model_dump(mode="json")) == asked


CHOICES = st.sampled_from([None, *Choice])


def some_ballots(members, choices):
    found = zip(members, choices, strict=False)
    return {member.id: choice for member, choice in found if choice is not None}


@LAWS
@given(rules(), electors(), st.lists(CHOICES, min_size=7, max_size=7), st.integers(0, 6))
def test_another_vote_in_favour_never_undoes_an_adoption(asked, members, choices, which):
    subject = members[-1].id
    ballots = some_ballots(members, choices)
    before = tally(asked, members, ballots, subject=subject)
    more = ballots | {members[which % len(members)].id: YES}
    after = tally(asked, members, more, subject=subject)
    assert after.adopted or not before.adopted


@LAWS
@given(rules(), electors(), st.lists(CHOICES, min_size=7, max_size=7), st.randoms())
def test_the_order_of_electors_and_ballots_does_not_matter(asked, members, choices, random):
    ballots = some_ballots(members, choices)
    shuffled = dict(random.sample(list(ballots.items()), len(ballots)))
    one = tally(asked, members, ballots)
    other = tally(asked, random.sample(members, len(members)), shuffled)
    assert one.document() == other.document()


@LAWS
@given(rules(), electors(), st.lists(CHOICES, min_size=7, max_size=7))
def test_sums_are_exact_parts_of_one_and_decide_alone(asked, members, choices):
    outcome = tally(asked, members, some_ballots(members, choices))
    for key, found in zip(asked.all, outcome.sums, strict=True):
        assert 0 <= found.in_favour <= found.whole <= 1
        assert isinstance(found.in_favour, Fraction)
        if found.whole:
            assert found.met == key.met(found.in_favour / found.whole)
    if outcome.adopted and asked.blocking is None:
        assert all(found.met for found in outcome.sums)


@LAWS
@given(rules(), electors(min_size=2))
def test_all_in_favour_is_always_adopted(asked, members):
    everyone = {member.id: YES for member in members}
    assert tally(asked, members, everyone, subject=members[0].id).adopted
