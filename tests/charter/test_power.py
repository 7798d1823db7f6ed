"""The power lint's figures: a published table, brute force, and two ways of counting."""

from fractions import Fraction
from itertools import combinations

import pytest
from charterlab import LAWS, electors, equals, nations, rule, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from concord.base.errors import CharterError
from concord.charter.game import count, count_by_masks, count_by_polynomials, game_of, swing
from concord.charter.power import analyse, weaknesses
from concord.charter.rules import Elector
from concord.charter.strictness import implies
from concord.charter.tally import Choice, tally

STATES = ("one", "min", "11/20")
RULES = {
    "eu": rule(STATES, ("population", "min", "13/20"), blocking=4),
    "people": rule(STATES, ("population", "min", "13/20")),
    "people-capped": rule(STATES, ("population", "min", "13/20", "1/4")),
    "roots": rule(STATES, ("sqrt:population", "min", "13/20", "1/4")),
    "release": rule(STATES, ("sqrt:population", "min", "1/2", "1/4")),
    "amend": rule(("one", "min", "2/3"), ("sqrt:population", "min", "1/2", "1/4")),
}
TABLE = [
    # rule, nations, blocks alone, powerless, least and greatest power in per cent
    ("eu", 5, (), (), 20, 20),
    ("eu", 8, (), (), 12.5, 12.5),
    ("people", 5, ("india",), (), 13.0, 47.8),
    ("people", 8, ("india",), (), 9.8, 31.4),
    ("people-capped", 5, (), ("estonia",), 0, 25),
    ("people-capped", 8, (), (), 6.5, 18.5),
    ("roots", 5, (), ("estonia",), 0, 25),
    ("roots", 8, (), (), 4.5, 19.7),
    ("release", 5, (), (), 20, 20),
    ("release", 8, (), (), 9.4, 16.5),
    ("release", 12, (), (), 6.0, 14.2),
    ("amend", 5, (), (), 20, 20),
    ("amend", 8, (), (), 12.5, 12.5),
    ("amend", 12, (), (), 7.6, 10.2),
]
"""Brute force by another program, on the same people; n = 12 adds four nations of our choice."""


@pytest.mark.parametrize(("name", "members", "blocks", "powerless", "least", "greatest"), TABLE)
def test_the_table_of_rules_comes_out(name, members, blocks, powerless, least, greatest):
    report = analyse(RULES[name], nations(members))
    assert report.weaknesses.blocks_alone == blocks
    assert report.weaknesses.powerless == powerless
    assert report.weaknesses.passes_alone == ()
    power = [float(100 * share) for share in report.banzhaf.values()]
    assert min(power) == pytest.approx(least, abs=0.05)
    assert max(power) == pytest.approx(greatest, abs=0.05)
    assert sum(report.banzhaf.values()) == 1


def test_raw_population_gives_india_48_and_31_per_cent():
    for members, power in ((5, Fraction(11, 23)), (8, Fraction(64, 204))):
        assert analyse(RULES["people"], nations(members)).banzhaf["india"] == power


@pytest.mark.parametrize("members", [5, 8])
def test_the_population_key_of_the_eu_copy_never_bites(members):
    dead = analyse(RULES["eu"], nations(members)).dead_keys
    assert dead == ("population, at least 13/20",)


@pytest.mark.parametrize("members", [3, 4, 5, 8, 12])
def test_the_release_rule_passes(members):
    found = weaknesses(RULES["release"], nations(members))
    assert (found.passes_alone, found.blocks_alone, found.powerless) == ((), (), ())


def test_keys_are_dead_as_long_as_heads_alone_decide():
    release, amend = RULES["release"], RULES["amend"]
    roots = "square roots of population, at least 1/2, cap 1/4"
    assert [n for n in (5, 8, 12) if roots in analyse(release, nations(n)).dead_keys] == [5]
    assert [n for n in (5, 8, 12) if roots in analyse(amend, nations(n)).dead_keys] == [5, 8]


def test_0_667_instead_of_two_thirds_gives_each_of_three_members_a_veto():
    rounded = weaknesses(rule(("one", "min", "0.667")), equals(3))
    assert rounded.blocks_alone == ("m00", "m01", "m02")
    assert weaknesses(rule(("one", "min", "2/3")), equals(3)).blocks_alone == ()


def test_72_per_cent_of_three_remaining_members_is_a_veto_of_each():
    expel = rule(("one", "min", "18/25"), excludes="subject")
    assert len(weaknesses(expel, equals(4), "m00").blocks_alone) == 3
    assert weaknesses(expel, equals(5), "m00").blocks_alone == ()


def test_a_quorum_of_all_lets_each_block_by_staying_away():
    report = analyse(rule(("one", "over", "1/2"), quorum="1"), equals(4))
    assert len(report.weaknesses.blocks_alone) == 4
    assert report.smallest_absence == 1


def test_a_dictator_passes_alone_and_all_others_are_powerless():
    members = [Elector("large", 90), Elector("tiny", 5), Elector("wee", 5)]
    report = analyse(rule(("speakers", "over", "1/2")), members)
    assert report.weaknesses.passes_alone == ("large",)
    assert report.weaknesses.blocks_alone == ("large",)
    assert report.weaknesses.powerless == ("tiny", "wee")
    assert report.banzhaf == {"large": 1, "tiny": 0, "wee": 0}


def test_smallest_coalitions_are_named():
    report = analyse(rule(STATES, ("population", "min", "13/20")), nations(5))
    assert report.smallest_passing == ("brazil", "india", "kenya")
    assert report.smallest_blocking == ("india",)


def test_nobody_left_to_vote_is_refused():
    with pytest.raises(CharterError, match="nobody"):
        weaknesses(rule(STATES, excludes="subject"), equals(1), "m00")


ELECTORAL_VOTES_2000 = (
    [54, 33, 32, 25, 23, 22, 21, 18, 15, 14, 13, 13, 12, 12]
    + [11] * 4 + [10] * 2 + [9] * 2 + [8] * 6 + [7] * 3 + [6] * 2 + [5] * 4 + [4] * 6 + [3] * 8
)  # fmt: skip
PUBLISHED_SWINGS = {
    54: 525_180_666_785_903,
    33: 292_267_988_381_903,
    25: 218_271_801_954_339,
    18: 155_767_173_134_343,
    12: 103_312_925_200_401,
    10: 85_987_775_858_127,
}
"""D. E. Sidran, "Power Indices for the 2000 U.S. Presidential Election", made with the program
ipgenf of D. Leech, University of Warwick."""


def test_published_swings_of_fifty_one_electors_come_out():
    assert (len(ELECTORAL_VOTES_2000), sum(ELECTORAL_VOTES_2000)) == (51, 538)
    members = [Elector(f"s{i:02}", 1, votes) for i, votes in enumerate(ELECTORAL_VOTES_2000)]
    game = game_of(rule(("population", "over", "1/2")), members)
    swings = dict(zip(ELECTORAL_VOTES_2000, count(game).swings, strict=True))
    assert {votes: swings[votes] for votes in PUBLISHED_SWINGS} == PUBLISHED_SWINGS


def test_luxembourg_was_powerless_in_the_community_of_six():
    """Published for 1958 to 1972: 12 of 4, 4, 4, 2, 2, 1; power 5/21 and 3/21."""
    names = ["belgium", "france", "germany", "italy", "luxembourg", "netherlands"]
    votes = [2, 4, 4, 4, 1, 2]
    members = [Elector(name, count) for name, count in zip(names, votes, strict=True)]
    report = analyse(rule(("speakers", "min", "12/17")), members)
    assert list(report.banzhaf.values()) == [Fraction(n, 21) for n in (3, 5, 5, 5, 0, 3)]
    assert report.weaknesses.powerless == ("luxembourg",)


def brute_force(asked, members):
    """Swings of each voter, by counting ballots for every coalition."""
    names = [member.id for member in members]
    wins = {}
    for size in range(len(names) + 1):
        for chosen in combinations(names, size):
            ballots = {n: Choice.YES if n in chosen else Choice.NO for n in names}
            wins[frozenset(chosen)] = tally(asked, members, ballots).adopted
    return {
        name: sum(wins[c | {name}] and not won for c, won in wins.items() if name not in c)
        for name in names
    }


@LAWS
@given(rules(), electors(min_size=1, max_size=6))
def test_power_agrees_with_counting_ballots_of_all_coalitions(asked, members):
    swings = brute_force(asked, members)
    report = analyse(asked, members)
    total = sum(swings.values())
    assert report.banzhaf == {name: Fraction(n, total) for name, n in swings.items()}
    assert set(report.weaknesses.powerless) == {name for name, n in swings.items() if not n}
    passing = dict.fromkeys(report.smallest_passing, Choice.YES)
    others = {m.id: Choice.NO for m in members if m.id not in passing}
    assert tally(asked, members, others | passing).adopted
    refusing = {
        m.id: Choice.NO if m.id in report.smallest_blocking else Choice.YES for m in members
    }
    assert not tally(asked, members, refusing).adopted


ONE_WEIGHT = ["one", "sqrt:speakers"]


@LAWS
@given(rules(ONE_WEIGHT), electors(min_size=2, max_size=9, largest=2_000))
def test_masks_and_generating_functions_count_the_same(asked, members):
    game = game_of(asked, members)
    if game.weighs_alike:
        assert count_by_masks(game) == count_by_polynomials(game)


@LAWS
@given(rules(), rules(), electors(min_size=2, max_size=6, largest=500))
def test_strictness_agrees_with_trying_all_coalitions(one, other, members):
    first, second = game_of(one, members), game_of(other, members)
    everyone = range(len(members))
    coalitions = [c for size in range(len(members) + 1) for c in combinations(everyone, size)]
    expected = all(second.wins(c) for c in coalitions if first.wins(c))
    assert implies(first, second) == expected


@LAWS
@given(rules(), electors(min_size=1, max_size=7))
def test_a_swing_that_is_found_is_one(asked, members):
    game = game_of(asked, members)
    for player in range(len(members)):
        found = swing(game, player)
        if found is not None:
            assert player not in found
            assert not game.wins(found)
            assert game.wins((*found, player))


@settings(max_examples=15, deadline=None)
@given(st.integers(21, 40), st.data())
def test_many_voters_with_one_weighted_key_are_judged(size, data):
    counts = data.draw(st.lists(st.integers(1, 10**6), min_size=size, max_size=size))
    members = [Elector(f"m{i:02}", n) for i, n in enumerate(counts)]
    report = analyse(rule(STATES, ("sqrt:speakers", "min", "1/2", "1/4")), members)
    assert report.weaknesses.powerless == ()
    assert report.weaknesses.blocks_alone == ()


def test_many_voters_weighed_in_two_ways_are_refused():
    members = [Elector(f"m{i:02}", i + 1, 40 - i) for i in range(25)]
    with pytest.raises(CharterError, match="more than one way"):
        analyse(rule(("speakers", "over", "1/2"), ("population", "over", "1/2")), members)


def test_too_many_coalitions_leave_power_uncounted_but_judge_the_rest():
    members = [Elector(f"m{i:03}", 10**9 + i * i) for i in range(60)]
    report = analyse(rule(("speakers", "over", "1/2")), members)
    assert report.banzhaf is None
    assert report.weaknesses.powerless == ()
    assert len(report.smallest_passing) == 30
