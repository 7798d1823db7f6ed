"""Halts: who may, how long, how often, and how they end; each refusal."""

import pytest
from foldlab import DAY, MEMBERS, NOON, Fold, some

from concord.ledger.statements import oversight, votes

HOUR = 3600


@pytest.fixture
def fold(tmp_path):
    return Fold(tmp_path)


def halt(scope="all", ground="fire", hours=2):
    return oversight.Halt(
        scope=scope, ground=ground, reason="It burns.", until=NOON + int(hours * HOUR)
    )


def test_a_member_halts_itself_at_once_and_nobody_else(fold):
    fold.say(halt("self"), "fiji")
    assert fold.state.halt_of("fiji", NOON)
    assert not fold.state.halt_of("peru", NOON)
    assert not fold.state.halt_of_all(NOON)


def test_an_overseer_halts_all(fold):
    fold.say(halt(), "ada", "overseer")
    assert fold.state.halt_of_all(NOON)
    assert fold.state.halt_of("peru", NOON)


def test_an_overseer_does_not_halt_itself(fold):
    fold.refuse("only a member halts itself", halt("self"), "ada", "overseer")


def test_a_quarter_of_the_members_halts_all_and_fewer_do_not(tmp_path):
    members = ("chad", "fiji", "laos", "mali", "peru", "togo")
    fold = Fold(tmp_path, members=members)
    fold.refuse("1 of the keys that count, 2 are needed", halt(), "fiji")
    digest = fold.say(halt(), "fiji", signers=["fiji", "togo"])
    assert fold.state.halts[digest].by == ("fiji", "togo")


def test_all_are_halted_once_for_a_ground(fold):
    fold.say(halt(), "ada", "overseer")
    fold.now += 3 * HOUR
    again = halt(hours=5)
    fold.refuse("the charter allows once", again, "bo", "overseer")
    fold.refuse("the charter allows once", again, "fiji")
    fold.say(halt(ground="flood", hours=5), "bo", "overseer")


def test_a_member_may_halt_itself_again_for_the_same_ground(fold):
    fold.say(halt("self"), "fiji")
    fold.now += 3 * HOUR
    fold.say(halt("self", hours=5), "fiji")


@pytest.mark.parametrize("hours", [0, -1, 72.01])
def test_a_halt_of_all_lasts_72_hours_at_most(fold, hours):
    fold.refuse("within 72 hours", halt(hours=hours), "ada", "overseer")


def test_a_member_may_halt_itself_for_longer(fold):
    fold.say(halt("self", hours=700), "fiji")
    fold.refuse("within 720 hours", halt("self", hours=721), "peru")


def test_a_halt_ends_by_itself(fold):
    fold.say(halt(), "ada", "overseer")
    assert fold.state.halt_of_all(NOON + 2 * HOUR - 1)
    assert not fold.state.halt_of_all(NOON + 2 * HOUR)


def test_during_a_halt_of_all_no_round_is_called_or_committed(fold):
    run = fold.open_run()
    plan = fold.call(run)
    fold.answer(run, plan, *MEMBERS)
    fold.halt()
    body = fold.record(run, plan, *MEMBERS)
    fold.refuse("while all were halted", body, role="coordinator", run=run, round_=0)
    fold.now += 2 * HOUR
    fold.say(body, role="coordinator", run=run, round_=0)
    fold.halt(ground="flood")
    body = fold.plan(run, roster=MEMBERS)
    fold.refuse("all are halted: It burns", body, role="coordinator", run=run, round_=1)


def test_a_member_that_halted_itself_is_not_in_a_plan(fold):
    run = fold.open_run()
    fold.halt("fiji", "member", scope="self")
    body = fold.plan(run, roster=MEMBERS)
    fold.refuse("'fiji' has halted itself", body, role="coordinator", run=run, round_=0)
    fold.call(run)


# --- extension --------------------------------------------------------------------------------


def extension(digest, hours):
    return oversight.HaltExtension(halt=digest, until=NOON + hours * HOUR)


def extend(fold, digest, hours=100, signers=("ada", "bo")):
    return fold.say(extension(digest, hours), signers[0], "overseer", signers=signers)


def test_two_thirds_of_the_overseers_extend_a_halt_once(fold):
    digest = fold.halt()
    with fold.refused("1 of the keys that count, 2 are needed"):
        extend(fold, digest, signers=("ada",))
    extend(fold, digest)
    assert fold.state.halts[digest].until == NOON + 100 * HOUR
    with fold.refused("only once"):
        extend(fold, digest, hours=200)


def test_members_extend_nothing(fold):
    digest = fold.halt()
    fold.refuse("only the oversight body extends", extension(digest, 100), "fiji", signers=MEMBERS)


@pytest.mark.parametrize("hours", [1, 2, 721])
def test_an_extension_is_longer_and_within_the_charters_limit(fold, hours):
    digest = fold.halt()
    with fold.refused("must end later than before, and within the charter's limit"):
        extend(fold, digest, hours)


def test_a_members_own_halt_is_not_extended_by_others(fold):
    digest = fold.halt("fiji", "member", scope="self")
    with fold.refused("only a halt of all is extended"):
        extend(fold, digest)


def test_what_is_over_is_neither_extended_nor_ended(fold):
    digest = fold.halt()
    fold.now += 2 * HOUR
    with fold.refused("no such halt in force"):
        extend(fold, digest)
    with fold.refused("no such halt in force"):
        extend(fold, some("nothing"))


# --- the end ----------------------------------------------------------------------------------


def test_a_member_ends_its_own_halt(fold):
    digest = fold.halt("fiji", "member", scope="self")
    fold.refuse("only the member that halted itself", oversight.Resume(halt=digest), "peru")
    fold.say(oversight.Resume(halt=digest), "fiji")
    assert not fold.state.halt_of("fiji", NOON)
    fold.refuse("no such halt in force", oversight.Resume(halt=digest), "fiji")


def test_overseers_do_not_end_a_members_own_halt(fold):
    digest = fold.halt("fiji", "member", scope="self")
    body = oversight.Resume(halt=digest)
    fold.refuse(
        "only the member that halted itself", body, "ada", "overseer", signers=["ada", "bo"]
    )


def test_neither_overseers_nor_members_alone_lift_a_halt_of_all(fold):
    digest = fold.halt()
    both = "by a decision of the members and the oversight body"
    alone = oversight.Resume(halt=digest)
    fold.refuse(both, alone, "ada", "overseer", signers=["ada", "bo", "cyd"])
    decision = fold.adopt(votes.LiftHalt(halt=digest))
    body = oversight.Resume(halt=digest, decision=decision)
    fold.refuse(both, body, "chad")
    few = "1 of the keys that count, 2 are needed"
    fold.refuse(few, body, "ada", "overseer", signers=["ada"])
    fold.say(body, "ada", "overseer", signers=["ada", "bo"])
    assert not fold.state.halt_of_all(NOON)


def test_a_decision_about_another_halt_or_against_lifting_lifts_nothing(fold):
    one, other = fold.halt(), fold.halt("bo", ground="flood")
    decision = fold.adopt(votes.LiftHalt(halt=other))
    proposal = fold.propose(votes.LiftHalt(halt=one))
    fold.vote(proposal, "no", *MEMBERS)
    rejected = fold.say(fold.decision(proposal, "rejected"))
    for found in (decision, rejected, some("nothing")):
        body = oversight.Resume(halt=one, decision=found)
        fold.refuse("by a decision of the members", body, "ada", "overseer", signers=["ada", "bo"])


def test_a_halt_that_was_lifted_is_not_put_to_the_vote_again(fold):
    digest = fold.halt()
    decision = fold.adopt(votes.LiftHalt(halt=digest))
    body = oversight.Resume(halt=digest, decision=decision)
    fold.say(body, "ada", "overseer", signers=["ada", "bo"])
    with fold.refused("no such halt of all"):
        fold.propose(votes.LiftHalt(halt=digest))


def test_a_lifted_ground_is_used_up_all_the_same(fold):
    digest = fold.halt()
    decision = fold.adopt(votes.LiftHalt(halt=digest))
    body = oversight.Resume(halt=digest, decision=decision)
    fold.say(body, "ada", "overseer", signers=["ada", "bo"])
    fold.now += DAY
    again = oversight.Halt(scope="all", ground="fire", reason="", until=fold.now + HOUR)
    fold.refuse("the charter allows once", again, "ada", "overseer")
