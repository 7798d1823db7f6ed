"""Privacy budgets in the log: what is spent is told with every update, and never given back."""

import pytest
from foldlab import Fold, granted
from pydantic import ValidationError

from concord.ledger.sentences import sentence
from concord.ledger.statements import rounds
from concord.ledger.statements.privacy import PrivacySpent


@pytest.fixture
def fold(tmp_path):
    return Fold(tmp_path)


@pytest.fixture
def run(fold):
    return fold.open_run()


def spent(epsilon="1.5", steps=20, **changes):
    fields = {
        "dataset": "clinics",
        "epsilon": epsilon,
        "max_epsilon": "8.0",
        "delta": "1e-06",
        "clip_norm": "1.0",
        "taken": [{"noise_multiplier": "1.0", "sampling_rate": "0.01", "steps": steps}],
    }
    return fields | changes


def told(fold, run, *privacy):
    """Peru's update in the next round, with these budgets."""
    plan = fold.call(run)
    round_ = fold.state.runs[run].rounds
    fold.say(granted(plan), "peru", run=run, round_=round_)
    return fold.update(run, plan, "peru", privacy=privacy), {"run": run, "round_": round_}


def test_what_was_spent_is_in_the_state_over_runs(fold, run):
    body, place = told(fold, run, spent())
    fold.say(body, "peru", **place)
    seat = fold.state.privacy["peru"]["clinics"]
    assert (seat.epsilon, seat.steps) == (1.5, 20)
    assert "epsilon spent: clinics 1.5 of 8" in sentence(fold.entries[-1].statement)


@pytest.mark.parametrize("less", [spent("1.4", 20), spent("1.5", 19)])
def test_less_than_before_is_refused(fold, run, less):
    body, place = told(fold, run, spent())
    fold.say(body, "peru", **place)
    fold.answer(run, body.plan, "chad", "fiji")
    record = fold.record(run, body.plan, "chad", "fiji", "peru")
    fold.say(record, fold.state.coordinator.member, "coordinator", **place)
    body, place = told(fold, run, less)
    fold.refuse("less was spent of dataset clinics", body, "peru", **place)


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": "8.1"},
        {"epsilon": "-1.0"},
        {"delta": "1.0"},
        {"clip_norm": "0.0"},
        {"taken": [{"noise_multiplier": "0.0", "sampling_rate": "0.5", "steps": 1}]},
        {"taken": [{"noise_multiplier": "1.0", "sampling_rate": "1.5", "steps": 1}]},
        {"taken": [{"noise_multiplier": "1.0", "sampling_rate": "0.5", "steps": 0}]},
        {"taken": [{"noise_multiplier": "1.0", "sampling_rate": "0.5", "steps": 1}] * 2},
    ],
)
def test_impossible_budgets_are_no_statement(change):
    PrivacySpent.model_validate(spent())
    with pytest.raises(ValidationError):
        PrivacySpent.model_validate(spent() | change)


def test_a_dataset_is_named_once(fold, run):
    with pytest.raises(ValidationError, match="sorted by dataset"):
        told(fold, run, spent(), spent())


def test_a_member_may_hold_its_update_back_after_the_grant(fold, run):
    plan = fold.call(run)
    place = {"run": run, "round_": 0}
    fold.say(granted(plan), "peru", **place)
    body = rounds.Refused(plan=plan, reason="audit: over a limit", rules=["audit.recited"])
    fold.say(body, "peru", **place)
    seat = fold.state.runs[run].plan
    assert "peru" in seat.refused and "peru" not in seat.granted
    fold.refuse("needs a grant first", fold.update(run, plan, "peru"), "peru", **place)
