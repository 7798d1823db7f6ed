"""Complaints, opt-outs, incidents: who takes them in, how long an answer may take, who answers."""

import pytest
from foldlab import DAY, NOON, Fold, some

from concord.ledger.statements.aftermath import Matter, MatterAnswered


@pytest.fixture
def fold(tmp_path):
    return Fold(tmp_path)


def matter(days=30, **changes):
    value = {"sort": "opt-out", "about": some("record"), "to": "fiji", "title": "Leave it out."}
    return Matter.model_validate({**value, "due": NOON + days * DAY, **changes})


def answer(digest, outcome="upheld"):
    return MatterAnswered(matter=digest, outcome=outcome, text="It is out.")


def test_a_member_takes_a_matter_in_and_the_one_it_goes_to_answers(fold):
    digest = fold.say(matter(), "chad")
    seat = fold.state.matters[digest]
    assert (seat.by, seat.to, seat.due, seat.outcome) == ("chad", "fiji", NOON + 30 * DAY, None)
    assert not seat.late(seat.due)
    assert seat.late(seat.due + 1)
    fold.say(answer(digest), "fiji")
    assert fold.state.matters[digest].outcome == "upheld"


def test_the_oversight_body_takes_one_in_and_answers_one(fold):
    digest = fold.say(matter(), "ada", "overseer")
    fold.say(answer(digest), "bo", "overseer")
    assert fold.state.matters[digest].outcome == "upheld"


def test_any_member_answers_one_that_goes_to_nobody(fold):
    digest = fold.say(matter(to=None), "chad")
    fold.say(answer(digest, "resolved"), "peru")
    assert fold.state.matters[digest].outcome == "resolved"


@pytest.mark.parametrize("days", [0, 32])
def test_a_deadline_that_is_over_or_longer_than_a_month_is_refused(fold, days):
    fold.refuse("within 31 days", matter(days), "chad")


def test_only_a_present_member_has_to_answer(fold):
    fold.refuse("is no member", matter(to="atlantis"), "chad")


def test_nobody_answers_for_another_and_nobody_twice(fold):
    digest = fold.say(matter(), "chad")
    fold.refuse("fiji answers it", answer(digest), "chad")
    fold.refuse("no such matter", answer(some("nothing")), "fiji")
    fold.say(answer(digest), "fiji")
    fold.refuse("was answered before", answer(digest, "rejected"), "fiji")


def test_the_coordinator_opens_none_in_its_role(fold):
    fold.refuse("the coordinator makes no statement", matter(), "chad", "coordinator")


def test_one_that_waited_for_a_long_round_still_counts_from_the_day_it_was_signed(fold):
    fold.now += DAY
    fold.say(matter(days=20), "peru")
    fold.now -= DAY
    digest = fold.say(matter(), "chad")
    assert fold.state.matters[digest].due == NOON + 30 * DAY
