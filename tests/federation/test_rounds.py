"""The round's state machine: what closes a round, what never does."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from concord.federation.rounds import (
    Action,
    ClosingRule,
    Standing,
    call_round,
    close_round,
    decide,
    record_standing,
)

MEMBERS = tuple(f"m{i}" for i in range(6))
RULE = ClosingRule(quorum=Fraction(1, 2), grace_share=0.5, min_grace_s=2.0, stall_s=100.0)
ANSWERS = st.sampled_from([s for s in Standing if s is not Standing.CALLED])
EVENTS = st.lists(st.tuples(st.sampled_from(MEMBERS), ANSWERS, st.floats(0, 50)), max_size=30).map(
    lambda events: sorted(events, key=lambda event: event[2])
)


def replay(events):
    state = call_round(3, MEMBERS, now_s=0.0)
    for member, standing, at_s in events:
        state = record_standing(state, member, standing, now_s=at_s)
    return state


def accepted_at(*times):
    return replay([(MEMBERS[i], Standing.ACCEPTED, t) for i, t in enumerate(times)])


def test_a_round_waits_for_its_quorum():
    decision = decide(accepted_at(1.0, 2.0), RULE, now_s=50.0)
    assert decision.action is Action.WAIT
    assert decision.ask_again_s == 100.0


def test_after_the_quorum_the_grace_is_half_of_the_time_so_far():
    state = accepted_at(10.0, 12.0, 20.0)
    assert decide(state, RULE, now_s=29.9).action is Action.WAIT
    assert decide(state, RULE, now_s=29.9).ask_again_s == 30.0
    assert decide(state, RULE, now_s=30.0).action is Action.CLOSE


def test_a_fast_quorum_still_gives_the_least_grace():
    state = accepted_at(0.1, 0.1, 0.1)
    assert decide(state, RULE, now_s=2.0).action is Action.WAIT
    assert decide(state, RULE, now_s=2.2).action is Action.CLOSE


def test_a_round_closes_at_once_when_everyone_answered():
    events = [(m, Standing.ACCEPTED, 1.0) for m in MEMBERS[:3]]
    events += [(m, Standing.LOST, 1.0) for m in MEMBERS[3:]]
    assert decide(replay(events), RULE, now_s=1.0).action is Action.CLOSE


def test_a_round_is_abandoned_when_a_quorum_is_out_of_reach():
    events = [(m, Standing.REFUSED, 1.0) for m in MEMBERS[:4]]
    assert decide(replay(events), RULE, now_s=1.0).action is Action.ABANDON


def test_a_stalled_round_is_abandoned():
    assert decide(accepted_at(1.0), RULE, now_s=100.0).action is Action.ABANDON


def test_a_second_answer_of_one_member_changes_nothing():
    state = record_standing(accepted_at(1.0), MEMBERS[0], Standing.ACCEPTED, now_s=2.0)
    assert state.accepted_s == (1.0,)


def test_an_unknown_member_changes_nothing():
    state = call_round(0, MEMBERS, now_s=0.0)
    assert record_standing(state, "stranger", Standing.ACCEPTED, now_s=1.0) == state


def test_who_did_not_answer_is_left_out_as_late_with_a_reason():
    closed = close_round(accepted_at(1.0, 1.0, 1.0))
    assert closed.left_out["m5"] == "late: no update before the round closed"
    assert set(closed.left_out) == {"m3", "m4", "m5"}


@given(EVENTS, st.floats(0, 200))
def test_a_round_never_closes_below_its_quorum(events, now_s):
    state = replay(events)
    if decide(state, RULE, now_s=now_s).action is Action.CLOSE:
        assert len(state.accepted) >= RULE.needed(len(MEMBERS))


@given(EVENTS)
def test_every_round_ends(events):
    state = replay(events)
    assert decide(state, RULE, now_s=1e6).action is not Action.WAIT


@given(EVENTS, st.floats(0, 200))
def test_asking_again_at_the_named_time_gives_an_answer(events, now_s):
    state = replay(events)
    decision = decide(state, RULE, now_s=now_s)
    if decision.action is Action.WAIT:
        assert decision.ask_again_s > now_s
        assert decide(state, RULE, now_s=decision.ask_again_s).action is not Action.WAIT


@given(EVENTS)
def test_every_member_is_accounted_for(events):
    closed = close_round(replay(events))
    assert set(closed.accepted) | set(closed.left_out) == set(MEMBERS)
    assert not set(closed.accepted) & set(closed.left_out)


@given(st.integers(1, 200), st.fractions(Fraction(1, 100), 1))
def test_a_quorum_is_at_least_its_share_and_at_most_all(members, share):
    rule = ClosingRule(quorum=share, grace_share=0, min_grace_s=0, stall_s=1)
    assert share * members <= rule.needed(members) <= members


def test_a_quorum_that_cannot_be_merged_waits_for_others_and_is_then_abandoned():
    rule = replace(RULE, fault=lambda members: "" if "m5" in members else "one owner has too much")
    three = [(m, Standing.ACCEPTED, 1.0) for m in MEMBERS[:3]]
    waiting = decide(replay(three), rule, now_s=50.0)
    assert waiting.action is Action.WAIT
    assert "one owner has too much" in waiting.reason
    mended = replay([*three, ("m5", Standing.ACCEPTED, 60.0)])
    assert decide(mended, rule, now_s=60.0).action is Action.CLOSE
    hopeless = replay([*three, *((m, Standing.LOST, 60.0) for m in MEMBERS[3:])])
    assert decide(hopeless, rule, now_s=60.0).action is Action.ABANDON
    assert decide(replay(three), rule, now_s=100.0).action is Action.ABANDON
