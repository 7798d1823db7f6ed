"""What honest federations do passes: void plans, several runs, another coordinator, every codec."""

import pytest
from verifylab import CAP, MEMBERS, RUN, hand_over, verified

from concord.crypto.notes import Note, sign_checkpoint
from concord.ledger.statements.membership import Leave
from concord.ledger.statements.rounds import RoundVoid
from concord.testing.history import History, key


def test_a_round_that_was_called_again_after_a_void_plan(tmp_path):
    history = History(tmp_path)
    run = history.adopt()
    plan = run.call()
    run.answer("fiji")
    run.refuse("peru")
    run.coordinator(RoundVoid(plan=plan, reason="a quorum is out of reach"), 0)
    run.round_of()
    found = verified(history.publish())
    assert found.account.kinds["round-void"] == 1
    assert found.account.runs[run.digest].rounds[0].plan.attempt == 1


def test_two_runs_side_by_side_each_by_itself(tmp_path):
    history = History(tmp_path)
    first, second = history.adopt(), history.adopt(name="second", update={"codec": "bf16"})
    for run in (first, second, first, second):
        run.round_of()
    history.publish()
    found = verified(tmp_path)
    assert {d: len(r.rounds) for d, r in found.account.runs.items()} == {
        first.digest: 2,
        second.digest: 2,
    }
    assert list(verified(tmp_path, run="second").replayed) == [second.digest]


def test_another_coordinator_and_what_the_former_one_signed(tmp_path):
    history = History(tmp_path)
    run = history.adopt()
    run.round_of()
    mine = history.replica.checkpoint
    before = Note(mine, (sign_checkpoint(mine, mine.origin, key("chad", "log")),))
    run.call()
    hand_over(history, "fiji")
    run.round_of()
    found = verified(history.publish(), checkpoints=(before,))
    assert found.state.coordinator.member == "fiji"
    assert found.account.runs[run.digest].rounds[1].plan.term == 1


def test_a_member_that_left_needs_cosign_no_more(tmp_path):
    history = History(tmp_path, MEMBERS, **CAP)
    run = history.adopt(**RUN)
    run.round_of()
    for member in ("laos", "peru"):
        history.say(Leave(), member)
    run.round_of()
    found = verified(history.publish())
    assert sorted(found.cosigned) == ["chad", "fiji", "iran"]


@pytest.mark.parametrize(
    "update",
    [
        {"codec": "fp32", "down_codec": "fp32"},
        {"codec": "int8", "down_codec": "bf16"},
        {"codec": "sparse", "down_codec": "sparse", "outer": {"momentum": 0.0}},
        {"codec": "int4", "outer": {"optimizer": "adam"}},
        {"norm_control": "clip_to_median", "outer": {"late_share": 0.5}},
        {"norm_control": "clip_groups", "clip_ratio": 1.0},
        {"merge": "rda"},
        {"merge": "krum"},
        {"merge": "multi_krum", "hostile": 2},
        {"merge": "trimmed_mean"},
        {"merge": "coordinate_median"},
        {"merge": "nnm_trimmed_mean"},
        {"merge": "geometric_median", "norm_control": "clip_groups"},
        {"merge": "centred_clipping"},
    ],
    ids=lambda update: "-".join(str(value) for value in update.values()),
)
def test_every_way_to_encode_and_merge(tmp_path, update):
    history = History(tmp_path, MEMBERS)
    run = history.adopt(rounds={"count": 4}, update=update)
    for _ in range(4):
        run.round_of()
    run.close()
    found = verified(history.publish())
    assert len(found.replayed[run.digest]) == 4
    assert found.account.runs[run.digest].base == history.state.run(run.digest).base


def test_a_federation_before_its_first_run(tmp_path):
    found = verified(History(tmp_path).publish())
    assert [step.passed for step in found.steps] == [True] * 6
