"""Proposals, ballots, decisions and ratifications: what follows from them, and each refusal."""

import pytest
from foldlab import DAY, MEMBERS, NOON, Fold, member_entry, some

from concord.base.canonical import canonical_json
from concord.ledger.state.votes import rule_for, stands
from concord.ledger.statements import membership, oversight, votes
from concord.testing.founded import charter_toml

YES_TO_THREE = ("chad", "fiji", "peru")


@pytest.fixture
def fold(tmp_path):
    return Fold(tmp_path)


def ballot(proposal, choice="yes"):
    return votes.Ballot(proposal=proposal, choice=choice)


# --- proposals --------------------------------------------------------------------------------


@pytest.mark.parametrize("closes", [NOON, NOON - 1, NOON + 366 * DAY + 1])
def test_a_vote_closes_later_than_now_and_within_a_year(fold, closes):
    body = votes.Proposal(title="x", change=votes.Ordinary(), closes=closes)
    fold.refuse("within a year", body)


def test_an_amendment_of_another_charter_than_the_one_in_force_is_refused(fold):
    other = fold.put_charter(quorum="1/3")
    with fold.refused("another charter is in force"):
        fold.propose(votes.Amend(before=other, charter=other))


def test_a_charter_that_nobody_can_read_is_not_proposed(fold):
    with fold.refused("the charter cannot be read"):
        fold.propose(votes.Amend(before=fold.charter, charter=some("nothing")))


def test_a_charter_that_lets_one_member_block_is_not_proposed(fold):
    text = charter_toml().replace('min = "2/3"', 'min = "9/10"')
    unfair = fold.put_charter(text=text)
    with fold.refused("gives power wrongly: rule strong: each of the 4 voters can block"):
        fold.propose(votes.Amend(before=fold.charter, charter=unfair))


def test_a_run_whose_document_nobody_can_read_is_not_proposed(fold):
    with fold.refused("the run document cannot be read"):
        fold.propose(votes.StartRun(document=some("nothing")))


def test_nobody_is_admitted_who_did_not_apply(fold):
    application = fold.say(membership.Join(member=member_entry("laos")), "laos", "applicant")
    with fold.refused("no such application"):
        fold.propose(votes.Admit(application=some("nothing"), member="laos"))
    with fold.refused("no such application"):
        fold.propose(votes.Admit(application=application, member="mali"))


@pytest.mark.parametrize(
    "change", [votes.Expel(member="laos"), votes.Suspend(member="laos", until=NOON + DAY)]
)
def test_only_members_are_suspended_or_expelled(fold, change):
    with fold.refused("'laos' is no member"):
        fold.propose(change)


def test_a_suspension_ends_in_the_future(fold):
    with fold.refused("must be in the future"):
        fold.propose(votes.Suspend(member="togo", until=NOON))


def test_only_a_halt_of_all_that_was_not_lifted_is_lifted_by_a_vote(fold):
    own = fold.halt("fiji", "member", scope="self")
    for halt in (some("nothing"), own):
        with fold.refused("no such halt of all"):
            fold.propose(votes.LiftHalt(halt=halt))


def test_an_overseer_proposes_nothing(fold):
    body = votes.Proposal(title="x", change=votes.Ordinary(), closes=NOON + DAY)
    fold.refuse("the oversight body makes no statement", body, "ada", "overseer")


# --- comments and ballots ---------------------------------------------------------------------


def test_comments_are_counted_and_need_a_proposal(fold):
    proposal = fold.propose(votes.Ordinary())
    fold.say(votes.Comment(proposal=proposal, text="Why?"), "fiji")
    assert fold.state.proposals[proposal].comments == 1
    fold.refuse("no such proposal", votes.Comment(proposal=some("x"), text="Why?"), "fiji")


def test_the_last_ballot_counts(fold):
    proposal = fold.propose(votes.Ordinary())
    fold.vote(proposal, "yes", "chad")
    fold.vote(proposal, "no", "chad")
    assert fold.state.proposals[proposal].votes["chad"].choice == "no"


def test_a_ballot_on_nothing_is_refused(fold):
    fold.refuse("no such proposal", ballot(some("x")))


def test_a_ballot_after_the_vote_closed_is_refused(fold):
    proposal = fold.propose(votes.Ordinary(), days=1)
    fold.now += DAY
    fold.say(ballot(proposal), "fiji")
    fold.now += 1
    fold.refuse("came after the vote closed", ballot(proposal), "peru")


def test_a_ballot_after_the_decision_is_refused(fold):
    proposal = fold.propose(votes.Ordinary())
    fold.vote(proposal, "yes", *YES_TO_THREE)
    fold.say(fold.decision(proposal, "adopted"))
    fold.refuse("the vote is over", ballot(proposal), "togo")


def test_a_suspended_member_has_no_vote_until_its_time_is_over(fold):
    fold.adopt(votes.Suspend(member="togo", until=NOON + DAY), rule="expel")
    proposal = fold.propose(votes.Ordinary())
    fold.refuse("'togo' has no vote", ballot(proposal), "togo")
    fold.now += DAY
    fold.say(ballot(proposal), "togo")


def test_a_ballot_under_an_earlier_charter_does_not_count(fold):
    proposal = fold.propose(votes.Ordinary())
    fold.vote(proposal, "yes", *MEMBERS)
    later = fold.put_charter(quorum="1/3")
    fold.adopt(votes.Amend(before=fold.charter, charter=later), rule="strong")
    fold.now += 1
    fold.refuse("another charter than the one in force", ballot(proposal), charter=fold.charter)
    fold.vote(proposal, "yes", "chad")
    found = stands(fold.state, fold.state.proposals[proposal], now=fold.now, library=fold.library)
    assert list(found.counted) == ["chad"]
    assert found.not_counted == dict.fromkeys(
        ("fiji", "peru", "togo"), "was cast under another charter"
    )


def test_a_ballot_of_a_member_that_left_does_not_count(fold):
    proposal = fold.propose(votes.Ordinary())
    fold.vote(proposal, "yes", *MEMBERS)
    fold.say(membership.Leave(), "togo")
    found = stands(fold.state, fold.state.proposals[proposal], now=fold.now, library=fold.library)
    assert found.not_counted == {"togo": "has no vote any more"}
    fold.say(fold.decision(proposal, "adopted", *YES_TO_THREE))


# --- decisions --------------------------------------------------------------------------------


def test_a_decision_follows_from_the_ballots(fold):
    proposal = fold.propose(votes.Ordinary())
    fold.vote(proposal, "yes", *YES_TO_THREE)
    fold.say(fold.decision(proposal, "adopted"), "togo")
    seat = fold.state.proposals[proposal]
    assert (seat.outcome, seat.rule) == ("adopted", "ordinary")


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": "rejected"},
        {"rule": "strong"},
        {"ballots": {"chad": some("forged")}},
        {"ballots": {}},
    ],
)
def test_a_decision_that_does_not_follow_is_refused(fold, wrong):
    proposal = fold.propose(votes.Ordinary())
    fold.vote(proposal, "yes", *YES_TO_THREE)
    body = fold.decision(proposal, "adopted").model_copy(update=wrong)
    fold.refuse("does not follow from the ballots", body)


def test_a_vote_that_missing_ballots_can_change_is_not_over(fold):
    proposal = fold.propose(votes.Ordinary(), days=1)
    fold.vote(proposal, "yes", "chad", "fiji")
    fold.refuse("the vote is not over", fold.decision(proposal, "rejected"))
    fold.now += DAY + 1
    fold.say(fold.decision(proposal, "rejected"))


def test_a_vote_without_quorum_ends_so_when_it_closes(fold):
    proposal = fold.propose(votes.Ordinary(), days=1)
    fold.vote(proposal, "yes", "chad")
    fold.now += DAY + 1
    fold.say(fold.decision(proposal, "no-quorum"))
    assert fold.state.proposals[proposal].outcome == "no-quorum"


def test_a_proposal_is_decided_once(fold):
    proposal = fold.propose(votes.Ordinary())
    fold.vote(proposal, "yes", *YES_TO_THREE)
    fold.say(fold.decision(proposal, "adopted"))
    fold.refuse("was decided before", fold.decision(proposal, "adopted"))


def test_a_decision_takes_effect_after_the_rules_delay_and_not_otherwise(tmp_path):
    fold = Fold(tmp_path, amend_delay="30d")
    later = fold.put_charter(quorum="1/3", amend_delay="30d")
    proposal = fold.propose(votes.Amend(before=fold.charter, charter=later))
    fold.vote(proposal, "yes", *MEMBERS)
    body = fold.decision(proposal, "adopted", rule="strong")
    fold.refuse("must be 2592000 s after the decision", body)
    fold.say(body.model_copy(update={"effective": NOON + 30 * DAY}))
    assert fold.state.coming_charters == {later: NOON + 30 * DAY}
    assert fold.state.charter == fold.charter


def test_a_rule_that_keeps_votes_open_for_a_time_keeps_them_open_for_that_time(tmp_path):
    text = charter_toml().replace("[rule.ordinary]", '[rule.ordinary]\nopen_for = "7d"')
    fold = Fold(tmp_path, text=text)
    with fold.refused("keeps votes open for 604800 s"):
        fold.propose(votes.Ordinary(), days=3)
    proposal = fold.propose(votes.Ordinary(), days=7)
    fold.vote(proposal, "yes", *MEMBERS)
    fold.refuse("the vote is not over", fold.decision(proposal, "adopted"))
    fold.now += 7 * DAY + 1
    fold.say(fold.decision(proposal, "adopted"))


def test_a_rule_whose_sunset_has_come_decides_nothing(tmp_path):
    text = charter_toml().replace("[rule.ordinary]", '[rule.ordinary]\nuntil = "2027-01-16"')
    fold = Fold(tmp_path, text=text)
    proposal = fold.propose(votes.Ordinary())
    fold.vote(proposal, "yes", *MEMBERS)
    fold.now += 2 * DAY
    fold.refuse("rule 'ordinary' ended on 2027-01-16", fold.decision(proposal, "adopted"))


def test_a_decision_about_nothing_is_refused(fold):
    body = votes.Decision(
        proposal=some("x"), outcome="adopted", rule="ordinary", ballots={}, effective=NOON
    )
    fold.refuse("no such proposal", body)


# --- what takes effect ------------------------------------------------------------------------


def test_an_expelled_member_had_no_vote_on_itself(fold):
    proposal = fold.propose(votes.Expel(member="togo"))
    fold.vote(proposal, "yes", "chad", "fiji")
    fold.vote(proposal, "no", "togo")
    body = fold.decision(proposal, "adopted", rule="expel")
    fold.say(body)
    assert fold.state.members["togo"].standing == "expelled"
    fold.refuse("is no member", ballot(proposal), "togo")


def test_an_admission_of_somebody_admitted_meanwhile_is_refused(fold):
    application = fold.say(membership.Join(member=member_entry("laos")), "laos", "applicant")
    change = votes.Admit(application=application, member="laos")
    first, second = fold.propose(change), fold.propose(change, "fiji")
    fold.vote(first, "yes", *YES_TO_THREE)
    fold.vote(second, "yes", *YES_TO_THREE)
    fold.say(fold.decision(first, "adopted"))
    fold.refuse("no such application", fold.decision(second, "adopted"))


def test_an_amendment_whose_charter_changed_meanwhile_is_refused(fold):
    one, other = fold.put_charter(quorum="1/3"), fold.put_charter(quorum="1/2")
    proposal = fold.propose(votes.Amend(before=fold.charter, charter=one))
    fold.adopt(votes.Amend(before=fold.charter, charter=other), rule="strong")
    fold.now += 1
    fold.vote(proposal, "yes", *MEMBERS)
    fold.refuse("another charter is in force", fold.decision(proposal, "adopted", rule="strong"))


def test_a_charter_comes_into_force_with_the_first_statement_after_its_time(tmp_path):
    fold = Fold(tmp_path, amend_delay="1d")
    later = fold.put_charter(quorum="1/3", amend_delay="1d")
    fold.adopt(votes.Amend(before=fold.charter, charter=later), rule="strong", delay_s=DAY)
    fold.say(votes.Ratification(ratified=later), "chad")
    fold.now += DAY
    assert fold.state.charter == fold.charter
    assert fold.state.charter_at(fold.now) == later
    assert fold.state.bound(fold.now) == ("chad",)
    fold.propose(votes.Ordinary(), "chad")
    assert fold.state.charter == later
    assert not fold.state.coming_charters


def test_an_amendment_binds_only_who_ratifies_it(fold):
    later = fold.put_charter(quorum="1/3")
    fold.adopt(votes.Amend(before=fold.charter, charter=later), rule="strong")
    fold.now += 1
    assert fold.state.bound(fold.now) == ()
    fold.say(votes.Ratification(ratified=later), "chad")
    fold.say(votes.Ratification(ratified=later), "peru")
    assert fold.state.bound(fold.now) == ("chad", "peru")


def test_who_did_not_ratify_may_still_speak_under_the_charter_that_binds_it(fold):
    later = fold.put_charter(quorum="1/3")
    fold.adopt(votes.Amend(before=fold.charter, charter=later), rule="strong")
    fold.now += 1
    fold.say(membership.Leave(), "togo", charter=fold.charter)


def test_only_an_adopted_charter_is_ratified_and_only_by_members(fold):
    other = fold.put_charter(quorum="1/3")
    fold.refuse("no such charter was adopted", votes.Ratification(ratified=other))
    fold.say(votes.Ratification(ratified=fold.charter))


def test_a_run_that_the_charter_does_not_allow_is_not_proposed(fold, tmp_path):
    with fold.refused("'laos' is no member"):
        fold.propose(votes.StartRun(document=fold.put_run("chad", "laos")))
    with fold.refused("is 1/5; the charter asks for 1/4"):
        rounds = {"count": 2, "inner_steps": 3, "quorum": "1/5"}
        fold.propose(votes.StartRun(document=fold.put_run(rounds=rounds)))
    with fold.refused("is MIT; the charter lists Apache-2.0"):
        fold.propose(votes.StartRun(document=fold.put_run(use={"model_licence": "MIT"})))


def test_a_charter_whose_files_permit_anything_cannot_be_proposed(fold):
    """No vote opens a member's data: such a charter does not come to a vote."""
    files = dict(fold.library.bundle(fold.charter).files)
    files["law/eu.cedar"] = b'@id("open") permit (principal, action, resource);'
    addresses = {path: fold.objects.put(data) for path, data in files.items()}
    charter = fold.objects.put(canonical_json(addresses))
    with fold.refused("permits: open"):
        fold.propose(votes.Amend(before=fold.charter, charter=charter))


def test_a_run_over_the_charters_influence_cap_is_not_proposed(tmp_path):
    fold = Fold(tmp_path, owner_cap="1/3")
    for cap, match in (("1/2", "the charter allows 1/3"), ("1/5", "cannot make up the whole")):
        with fold.refused(match):
            run = fold.put_run(update={"owner_cap": cap})
            fold.propose(votes.StartRun(document=run))
    fold.propose(votes.StartRun(document=fold.put_run(update={"owner_cap": "1/3"})))


def test_a_run_names_the_legal_owner_that_the_log_knows(tmp_path):
    fold = Fold(tmp_path, owners={"peru": "andes", "togo": "andes"}.items())
    with fold.refused("the legal owner of 'peru' is 'andes'"):
        fold.propose(votes.StartRun(document=fold.put_run()))


def test_a_member_on_probation_weighs_less_in_a_run(fold):
    fold.admit("laos")
    for weights, allowed in (((), False), ((("laos", "1/2"),), True)):
        run = fold.put_run(*MEMBERS, "laos", weights=weights)
        if allowed:
            fold.propose(votes.StartRun(document=run))
        else:
            with fold.refused("its weight may be 1/2 at most"):
                fold.propose(votes.StartRun(document=run))


def test_a_run_adopted_again_keeps_what_happened_in_it(fold):
    run = fold.open_run()
    fold.round(run, *MEMBERS)
    fold.adopt(votes.StartRun(document=run))
    assert fold.state.runs[run].rounds == 1


def test_past_a_mark_of_joint_compute_a_stronger_rule_decides_about_runs(tmp_path):
    fold = Fold(tmp_path, extra='\n[[compute]]\nlog10_flop = "3.0"\nrule = "strong"\n')
    charter = fold.library.charter(fold.charter)
    run = fold.open_run()
    change = votes.StartRun(document=run)
    assert rule_for(fold.state, change, charter, fold.library) == "ordinary"
    fold.round(run, *MEMBERS)
    assert fold.state.flops == "4000"
    assert rule_for(fold.state, change, charter, fold.library) == "strong"
    body = fold.plan(run)
    fold.refuse(
        "the run needs a decision by rule 'strong'", body, role="coordinator", run=run, round_=1
    )
    fold.adopt(change, rule="strong")
    fold.call(run)


def test_a_halt_is_lifted_by_members_and_overseers_together(fold):
    halt = fold.halt()
    decision = fold.adopt(votes.LiftHalt(halt=halt))
    body = oversight.Resume(halt=halt, decision=decision)
    fold.say(body, "ada", "overseer", signers=["ada", "bo"])
    assert fold.state.halts[halt].lifted
