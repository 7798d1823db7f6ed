"""The lint over a whole charter: what is refused, of what it warns, and after whose departure."""

from fractions import Fraction

import pytest
from charterlab import LAWS, electors, equals, nations
from hypothesis import given

from concord.base.errors import CharterError, CharterRefused
from concord.charter.bundle import bundle_from
from concord.charter.lint import check_cap, lint_charter, owners_of, refuse_unfair
from concord.charter.rules import Elector
from concord.charter.template import default_charter


def charter_with(old, new, members=5):
    """The default charter with one place changed."""
    files = dict(default_charter("Atlas", members=members).files)
    text = files["charter.toml"].decode()
    assert old in text
    return bundle_from(files | {"charter.toml": text.replace(old, new, 1).encode()}).charter


def release(second, members=5):
    return charter_with(
        '{by = "one", min = "11/20"}, {by = "sqrt:speakers", min = "1/2", cap = "1/4"}',
        second,
        members,
    )


@pytest.mark.parametrize("members", [3, 4, 5, 6, 7, 8, 9, 12])
def test_the_default_charter_passes_from_three_members_on(members):
    charter = default_charter("Atlas", members=members).charter
    report = refuse_unfair(charter, nations(members))
    assert report.errors == ()
    assert report.intended == ("rule entrenched: one member alone can block, as intended",)
    assert report.power.keys() == charter.rule.keys()


@LAWS
@given(electors(min_size=3, max_size=12, largest=10**10))
def test_the_default_charter_passes_for_any_sizes_of_members(members):
    charter = default_charter("Atlas", members=len(members)).charter
    assert lint_charter(charter, members).errors == ()


def test_a_veto_by_0_667_is_refused_and_named():
    charter = charter_with(
        'all = [{by = "one", min = "2/3"}]', 'all = [{by = "one", min = "0.667"}]', 3
    )
    with pytest.raises(CharterRefused, match=r"rule admit: each of the 3 voters can block"):
        refuse_unfair(charter, nations(3))


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ('{by = "one", min = "11/20"}, {by = "speakers", min = "13/20"}', "india can block"),
        (
            '{by = "one", min = "11/20"}, {by = "speakers", min = "13/20", cap = "1/4"}',
            "estonia can never change an outcome",
        ),
        (
            '{by = "one", min = "11/20"}, {by = "sqrt:speakers", min = "13/20", cap = "1/4"}',
            "estonia can never change an outcome",
        ),
        ('{by = "speakers", over = "1/2"}', "india can pass a proposal alone"),
    ],
)
def test_copies_of_a_union_s_rule_are_refused_for_five_unequal_members(keys, fault):
    errors = lint_charter(release(keys), nations(5)).errors
    assert any(f"rule release: {fault}" in error for error in errors)


def test_a_population_key_that_never_bites_is_a_warning():
    text = charter_with(
        '[rule.release]\nall = [{by = "one", min = "11/20"}, '
        '{by = "sqrt:speakers", min = "1/2", cap = "1/4"}]',
        '[rule.release]\nblocking = 4\nall = [{by = "one", min = "11/20"}, '
        '{by = "speakers", min = "13/20"}]',
    )
    report = lint_charter(text, nations(5))
    assert not any("release" in error for error in report.errors)
    assert "rule release: the key 'speakers, at least 13/20' decides nothing among 5 members" in (
        report.warnings
    )


def test_a_rule_that_fails_only_after_a_departure_is_refused_and_says_whose():
    """4 of 5 is no veto; once one has left, 4 of 4 is."""
    charter = charter_with('{by = "one", over = "1/2"}', '{by = "one", min = "4/5"}')
    report = lint_charter(charter, nations(5))
    assert (
        "rule ordinary: each of the 4 voters can block a proposal alone, after one member leaves"
        in report.errors
    )
    members = [Elector(name, n) for name, n in zip("abcd", (45, 25, 20, 15), strict=True)]
    errors = lint_charter(release('{by = "speakers", over = "1/2"}', 4), members).errors
    fault = "rule release: a can pass a proposal alone, after b leaves, and in 1 other case(s)"
    assert fault in errors


def test_72_per_cent_for_expulsion_is_refused_for_four_and_for_five_members_after_a_departure():
    def expel(members):
        files = default_charter("Atlas", members=members)
        head, _, tail = files.files["charter.toml"].decode().partition("[rule.expel]")
        text = head + "[rule.expel]" + tail.replace('"2/3"', '"18/25"', 1)
        return bundle_from(dict(files.files) | {"charter.toml": text.encode()}).charter

    for members, wrong in ((3, False), (4, True), (5, True), (6, False), (8, False)):
        errors = lint_charter(expel(members), nations(members)).errors
        assert any("rule expel" in error for error in errors) == wrong


def test_with_two_voters_a_veto_is_a_warning_that_says_so():
    report = lint_charter(default_charter("Atlas", members=2).charter, equals(2))
    assert report.errors == ()
    assert any("(only 2 vote)" in warning for warning in report.warnings)


def test_passing_alone_while_others_stay_away_is_refused():
    charter = charter_with(
        '[rule.ordinary]\nall = [{by = "one", over = "1/2"}]\nquorum = "1/2"',
        '[rule.ordinary]\nall = [{by = "one", over = "1/2"}]\nof = "cast"',
    )
    errors = lint_charter(charter, nations(5)).errors
    assert any("alone if others stay away" in error for error in errors)


def test_a_member_without_a_number_that_a_rule_counts_is_named():
    report = lint_charter(
        default_charter("Atlas", members=4).charter, [*nations(3), Elector("chad")]
    )
    assert any("chad: has no number of speakers" in error for error in report.errors)


def test_members_of_one_owner_that_decide_together_are_a_warning():
    members = [Elector(f"m{i}", 1_000, owner="holding" if i < 3 else "") for i in range(5)]
    warnings = lint_charter(default_charter("Atlas", members=5).charter, members).warnings
    assert "rule ordinary: the 3 members of holding can pass a proposal alone" in warnings


def test_an_entrenched_rule_weaker_than_amending_is_refused():
    charter = charter_with('[entrenched]\nrule = "entrenched"', '[entrenched]\nrule = "ordinary"')
    errors = lint_charter(charter, nations(9)).errors
    assert "entrenched.rule: rule ordinary lets pass what rule amend does not" in errors


def test_a_majority_that_falls_with_compute_is_refused():
    charter = charter_with('rule = "strong"', 'rule = "ordinary"')
    errors = lint_charter(charter, nations(8)).errors
    assert "compute.0.rule: rule ordinary lets pass what rule release does not" in errors


def test_a_takeover_that_needs_the_coordinator_itself_is_refused():
    charter = charter_with('takeover = {over = "1/2"}', 'takeover = "1"')
    assert any(
        "coordinator.takeover" in error for error in lint_charter(charter, nations(5)).errors
    )


def test_shares_that_come_down_to_one_or_to_all_are_warnings():
    warnings = lint_charter(default_charter("Atlas", members=3).charter, nations(3)).warnings
    assert any("log.witness_quorum: more than 2/3 of 3 members is all" in w for w in warnings)
    assert any("oversight.halt_members: at least 1/4 of 3 members is one" in w for w in warnings)


@pytest.mark.parametrize(
    ("cap", "owners"),
    [("2/5", 2), ("3/10", 3), ("1/2", 1), ("34/100", 2), ("1/5", 3), ("1/4", 0)],
)
def test_an_infeasible_cap_is_refused_not_raised_in_silence(cap, owners):
    with pytest.raises(CharterRefused, match="cannot hold among"):
        check_cap(Fraction(cap), owners)


@pytest.mark.parametrize(("cap", "owners"), [("1/2", 2), ("1/3", 3), ("1", 1), ("2/5", 3)])
def test_a_cap_that_holds_is_accepted(cap, owners):
    check_cap(Fraction(cap), owners)


def test_a_charter_whose_cap_cannot_hold_among_its_legal_owners_is_refused():
    """Five members, but two owners: a cap of 2/5 cannot hold."""
    members = [Elector(f"m{i}", 1_000, owner="holding" if i else "") for i in range(5)]
    assert owners_of(members) == 2
    charter = charter_with('owner_cap = "1/2"', 'owner_cap = "2/5"')
    errors = lint_charter(charter, members).errors
    assert any("influence.owner_cap: a cap of 2/5 cannot hold among 2" in e for e in errors)
    assert not any("owner_cap" in e for e in lint_charter(charter, equals(5)).errors)


def test_a_cap_that_stops_rounds_after_a_departure_or_at_a_bare_quorum_is_a_warning():
    charter = charter_with('owner_cap = "1/2"', 'owner_cap = "1/5"')
    warnings = lint_charter(charter, nations(5)).warnings
    assert any("once an owner leaves" in warning for warning in warnings)
    assert any("than its quorum of 3" in warning for warning in warnings)


def test_an_elector_named_twice_is_refused():
    with pytest.raises(CharterError, match="twice"):
        lint_charter(default_charter("Atlas", members=4).charter, [*nations(3), *nations(1)])
