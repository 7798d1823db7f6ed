"""The coordinator lied as it went, and all witnesses signed what they saw: numbers tell.

Here no statement breaks a rule that the fold knows, and the checkpoint has its quorum. Only who
computes the round again, or holds the record against the statement, can tell.
"""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from verifylab import CAP, MEMBERS, RUN, halved, verified

from concord.base.errors import VerificationFailed
from concord.base.tensors import TensorFile, write_tensors
from concord.testing.history import History
from concord.testing.run_history import Lie

NOWHERE = "sha256:" + "0" * 64
LAST = "(round-record by chad, round 4)"


def one_ulp_off(path):
    """Move one number of a base to the next that float32 knows."""
    tensors = {spec.name: np.array(array) for spec, array in TensorFile(path).items()}
    first = tensors["layer.weight"]
    first[3, 5] = np.nextafter(first[3, 5], np.float32(np.inf))
    write_tensors(path, TensorFile(path).specs, [tensors[name] for name in sorted(tensors)])


def with_outer_rate(rate, run):
    outer = run.update.outer.model_copy(update={"lr": rate})
    return run.model_copy(update={"update": run.update.model_copy(update={"outer": outer})})


def with_norm_control(run):
    update = run.update.model_copy(update={"norm_control": "scale_to_median"})
    return run.model_copy(update={"update": update})


def claiming(**fields):
    return Lie(claim=lambda body: body.model_copy(update=fields))


def recording(**fields):
    return Lie(record=lambda record: record.model_copy(update=fields))


def merged_norm(body):
    merged = body.merged["fiji"].model_copy(update={"norm": body.merged["fiji"].norm + 1e-9})
    return body.model_copy(update={"merged": {**body.merged, "fiji": merged}})


def contribution(record, **fields):
    changed = record.contributions["fiji"].model_copy(update=fields)
    return record.model_copy(update={"contributions": {**record.contributions, "fiji": changed}})


NORMS = {"total": (1.0,)}
LIES = {
    "a_base_off_by_one_ulp": (Lie(base=one_ulp_off), LAST, "base is claimed to be sha256:"),
    "another_weight_than_stated": (Lie(weights=halved), LAST, "outer step is claimed to be"),
    "another_outer_rate": (
        Lie(run=partial(with_outer_rate, 0.8)),
        LAST,
        "outer step is claimed to be",
    ),
    "another_merge_rule": (Lie(run=with_norm_control), LAST, "outer step is claimed to be"),
    "another_outer_step": (claiming(step=NOWHERE), LAST, "outer step is claimed to be"),
    "another_outer_state": (claiming(outer_state=NOWHERE), LAST, "outer state is claimed to be"),
    "no_outer_state": (claiming(outer_state=None), LAST, "outer state is claimed to be none"),
    "another_norm": (Lie(claim=merged_norm), f"{LAST}: record of fiji", "norm is "),
    "another_word_on_why_it_closed": (
        claiming(closed_because="grace is over"),
        LAST,
        "closed_because is everyone answered in one place and grace is over in another",
    ),
    "other_bytes_in_the_statement": (claiming(bytes_up={"fiji": 1}), LAST, "bytes_up is"),
    "other_work_in_the_record": (
        Lie(record=lambda record: contribution(record, tokens=7)),
        f"{LAST}: record of fiji",
        "tokens is 7 in one place and 100 in another",
    ),
    "another_weight_in_the_record": (
        Lie(record=lambda record: contribution(record, weight=Fraction(1, 3)),
            claim=lambda body: body.model_copy(update={"merged": {
                m: one.model_copy(update={"weight": Fraction(1, 5)})
                for m, one in body.merged.items()}})),
        f"{LAST}: record of fiji",
        "weight is 1/3 in one place and 1/5 in another",
    ),
    "a_record_of_another_round": (recording(round=9), LAST, "round is 9 in one place and 4"),
    "a_record_that_follows_another": (recording(previous=NOWHERE), LAST, "previous is sha256:00"),
    "another_history_of_norms": (recording(norm_history=NORMS), LAST, "history of norms is"),
}  # fmt: skip


def told(root, lie):
    """A run of four rounds with a lie in the last one."""
    history = History(root, MEMBERS, **CAP)
    run = history.adopt(rounds={"count": 4}, **RUN)
    for _ in range(3):
        run.round_of()
    run.round_of(lie=lie)
    return history.publish()


@pytest.mark.parametrize("name", LIES)
def test_a_lie_in_a_round_is_named(tmp_path, name):
    lie, where, message = LIES[name]
    with pytest.raises(VerificationFailed) as failed:
        verified(told(tmp_path, lie))
    assert where in failed.value.where
    assert message in failed.value.message
    assert failed.value.remedy


@pytest.mark.parametrize("name", ["a_base_off_by_one_ulp", "another_weight_than_stated"])
def test_without_computing_again_a_wrong_base_is_not_seen(tmp_path, name):
    verified(told(tmp_path, LIES[name][0]), replay=False)


def refused_merged(run, history, **how):
    for _ in range(3):
        run.round_of()
    run.call()
    updates = {m: run.answer(m) for m in MEMBERS[:-1]}
    updates["peru"] = run.answer("peru", **how)
    run.commit(updates)
    return history.publish()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"scale": 1.0}, "had to be refused as norm-out-of-bounds"),
        ({"scale": 1e-5}, "had to be refused as norm-out-of-bounds"),
        ({"identity_round": 1}, "had to be refused as wrong-round"),
    ],
    ids=["a_norm_too_large", "a_norm_too_small", "an_update_made_for_another_round"],
)
def test_an_update_that_had_to_be_refused_is_named_if_it_was_merged(tmp_path, how, message):
    history = History(tmp_path, MEMBERS, **CAP)
    run = history.adopt(rounds={"count": 4}, **RUN)
    with pytest.raises(VerificationFailed, match=message) as failed:
        verified(refused_merged(run, history, **how))
    assert failed.value.where.endswith(f"{LAST}: peru")


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ({"peru": "late: no update", "laos": "declined: no grant"}, "did not refuse the plan"),
        ({"peru": "late: no update", "laos": "late: no update"}, "and by the log it refused"),
        ({"peru": "declined: no", "laos": "lost: gone"}, None),
    ],
    ids=["reasons_swapped", "a_refusal_called_late", "as_the_log_has_it"],
)
def test_why_a_member_was_left_out_must_fit_what_it_said(tmp_path, left_out, message):
    history = History(tmp_path, MEMBERS, **CAP)
    run = history.adopt(rounds={"count": 4}, **RUN)
    run.call()
    run.refuse("peru")
    run.commit({m: run.answer(m) for m in ("chad", "fiji", "iran")}, left_out=left_out)
    folder = history.publish()
    if message is None:
        verified(folder)
        return
    with pytest.raises(VerificationFailed, match=message) as failed:
        verified(folder)
    assert "round 1" in failed.value.where


def test_a_member_that_sent_an_update_cannot_be_called_late(tmp_path):
    history = History(tmp_path, MEMBERS, **CAP)
    run = history.adopt(rounds={"count": 4}, **RUN)
    run.call()
    updates = {m: run.answer(m) for m in MEMBERS}
    del updates["peru"]
    run.commit(updates, left_out={"peru": "late: no update before the round closed"})
    with pytest.raises(VerificationFailed, match="left out as 'late', and by the log it sent an"):
        verified(history.publish())
