"""What the fold refuses in a round, as the parties of a round would meet it."""

import pytest

from concord.base.errors import StatementRefused
from concord.testing.history import History


@pytest.fixture
def run(tmp_path):
    found = History(tmp_path).adopt()
    found.call()
    return found


def test_who_sent_its_update_cannot_refuse_the_plan_any_more(run):
    run.answer("fiji")
    with pytest.raises(StatementRefused, match="sent its update for this plan before"):
        run.refuse("fiji")


def test_who_granted_may_still_refuse_before_its_update(run):
    run.answer("chad")
    run.answer("peru")
    run.refuse("fiji")
    with pytest.raises(StatementRefused, match="an update needs a grant first"):
        run.send("fiji")


def test_an_update_of_more_tokens_than_were_agreed_is_left_out_or_the_round_is_refused(run):
    updates = {m: run.answer(m) for m in ("chad", "peru")}
    greedy = run.answer("fiji", tokens=513)
    with pytest.raises(StatementRefused, match="'fiji' declares 513 tokens; 512 were agreed"):
        run.commit({**updates, "fiji": greedy})
    run.commit(updates, left_out={"fiji": "refused: too-large"})
    assert run.round == 1


def test_a_refusal_names_entry_kind_author_and_round(run):
    with pytest.raises(StatementRefused) as refused:
        run.refuse("mallory")
    assert refused.value.where == "entry 8 (refusal by mallory, round 1)"
