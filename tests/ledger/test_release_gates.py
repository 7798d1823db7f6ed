"""What stands between a model and its release: evidence that is forged, missing, by one, of another
model, stale, or failed; and a vote that would not hear of it."""

import pytest
from foldlab import DAY, Fold, key, some

from concord.base.errors import CharterError
from concord.charter.constitution import parse_charter
from concord.ledger.state.release_gates import judge
from concord.ledger.statements import aftermath, evidence, oversight, votes
from concord.testing.founded import charter_toml

MODEL = some("model")
FLOOR = """
[[gate]]
id = "floor"
metric = "bits-per-byte"
slice = "language"
compare = "previous"
max = "1/50"
run_by = "member"
"""
WHOLE = """
[[gate]]
id = "whole"
metric = "integrity"
max = "0"
min_runners = 2
tolerance = "1/1000"
max_age = "30d"
"""
RECITED = """
[[gate]]
id = "recited"
metric = "verbatim"
slice = "member"
max = "1/1000"
run_by = "member"
share = "1/2"
"""


def gated(tmp_path, extra, **how):
    return Fold(tmp_path, extra=extra, **how)


def found(gate="whole", result="passed", of=MODEL, against=None, **measured):
    return evidence.GateEvidence(
        gate=gate,
        model=of,
        evidence=some("evidence"),
        result=result,
        measured=measured or {"model": "0.0"},
        against=against,
    )


def verdict(fold, model=MODEL):
    (one,) = judge(fold.state, fold.library, model, fold.now)
    return one


def put_to_the_vote(fold, version="1.0", model=MODEL):
    """The digest of a proposal for which everybody voted."""
    proposal = fold.propose(votes.ReleaseModel(version=version, model=model))
    fold.vote(proposal, "yes", *fold.state.voters(fold.now))
    return proposal


def publish(version="1.0", model=MODEL, decision=""):
    return evidence.Release(version=version, model=model, manifest=some("files"), decision=decision)


def released(fold, version, model=MODEL):
    decision = fold.adopt(votes.ReleaseModel(version=version, model=model))
    fold.say(publish(version, model, decision), role="coordinator")


# --- what a statement may say -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (found(result="failed"), "what it measured is passed"),
        (found(model="1.0"), "what it measured is failed"),
        (found(result="warned"), "what it measured is passed"),
        (found(kenya="0.0"), "has one number, of the model"),
        (found(against=some("x")), "compares with no release"),
        (found("nothing"), "no such gate"),
    ],
    ids=["worse than it is", "forged", "warned", "other slice", "against", "unknown gate"],
)
def test_evidence_that_does_not_follow_from_its_own_numbers_is_refused(tmp_path, body, why):
    gated(tmp_path, WHOLE).refuse(why, body, "chad")


def test_evidence_of_a_member_s_text_is_its_own(tmp_path):
    fold = gated(tmp_path, RECITED)
    fold.refuse("its runner's own text", found("recited", fiji="0.0"), "chad")
    fold.say(found("recited", chad="0.0"), "chad")
    fold.refuse("makes no statement of kind", found("recited", ada="0.0"), "ada", role="overseer")


def test_a_review_board_s_key_is_needed_where_the_charter_names_one(tmp_path):
    board = key("board of peru")
    fold = gated(tmp_path, f'{RECITED}boards = {{peru = "{board.public.text}"}}\n')
    body = found("recited", peru="0.0")
    fold.refuse("signatures", body, "peru")
    fold.say(body, "peru", signers=["peru", "board of peru"])
    fold.say(found("recited", chad="0.0"), "chad")


# --- what counts ------------------------------------------------------------------------------


def test_a_single_runner_is_not_enough_nor_are_two_of_one_owner(tmp_path):
    fold = gated(tmp_path, WHOLE, owners={"chad": "one", "fiji": "one"})
    fold.say(found(), "chad")
    fold.say(found(), "fiji")
    assert verdict(fold).status == "missing"
    assert "1 of 2 independent runners" in verdict(fold).reason
    fold.say(found(), "peru")
    assert verdict(fold).status == "passed"


def test_runners_that_disagree_beyond_the_tolerance_fail(tmp_path):
    fold = gated(tmp_path, WHOLE.replace('max = "0"', 'max = "1"'))
    fold.say(found(model="0.5"), "chad")
    fold.say(found(model="0.5005"), "fiji")
    assert verdict(fold).status == "passed"
    fold.say(found(model="0.6"), "fiji")
    assert "disagree on model: 0.5 to 0.6" in verdict(fold).reason


def test_evidence_of_another_model_is_none_of_this_one(tmp_path):
    fold = gated(tmp_path, WHOLE)
    for member in ("chad", "fiji"):
        fold.say(found(), member)
    assert verdict(fold, some("another base")).status == "missing"


def test_stale_evidence_does_not_count(tmp_path):
    fold = gated(tmp_path, WHOLE)
    for member in ("chad", "fiji"):
        fold.say(found(), member)
    fold.now += 30 * DAY
    assert verdict(fold).status == "passed"
    fold.now += 10
    assert "is stale" in verdict(fold).not_counted["chad"]
    assert verdict(fold).status == "missing"


def test_evidence_under_an_earlier_form_of_the_gate_does_not_count(tmp_path):
    fold = gated(tmp_path, WHOLE)
    for member in ("chad", "fiji"):
        fold.say(found(), member)
    before = fold.state.charter
    fold.adopt(
        votes.Amend(before=before, charter=fold.put_charter(extra=f"# word\n{WHOLE}")),
        rule="strong",
    )
    fold.now += 1
    assert verdict(fold).status == "passed"
    stricter = fold.put_charter(extra=WHOLE.replace('max = "0"', 'max = "-1"'))
    fold.adopt(votes.Amend(before=fold.state.charter_at(fold.now), charter=stricter), rule="strong")
    fold.now += 1
    assert "another declaration" in verdict(fold).not_counted["chad"]


def test_the_share_of_the_members_that_must_run_it_at_home(tmp_path):
    fold = gated(tmp_path, RECITED)
    fold.say(found("recited", chad="0.0"), "chad")
    assert "1 of 2 members gave evidence, not fiji, peru, togo" in verdict(fold).reason
    fold.say(found("recited", togo="0.0"), "togo")
    assert verdict(fold).status == "passed"
    fold.say(found("recited", "failed", peru="0.5"), "peru")
    assert (verdict(fold).status, verdict(fold).reason) == ("failed", "found so by peru")


def test_a_floor_is_held_against_the_last_release_that_stands(tmp_path):
    fold = gated(tmp_path, FLOOR)
    assert verdict(fold).status == "n/a"
    released(fold, "1.0")
    new = some("a later base")
    for member in ("chad", "fiji", "peru", "togo"):
        fold.say(found("floor", of=new, against=some("else"), sw="0.01"), member)
    assert "another model than the last release" in verdict(fold, new).reason
    for member in ("chad", "fiji", "peru", "togo"):
        fold.say(found("floor", of=new, against=MODEL, sw="0.01"), member)
    assert verdict(fold, new).status == "passed"
    recall = aftermath.Recall(version="1.0", model=MODEL, ground="leak", reason="It leaks.")
    fold.say(recall, "ada", role="overseer")
    assert verdict(fold, new).status == "n/a"


# --- and no vote helps ------------------------------------------------------------------------


def test_a_failing_gate_is_not_outvoted(tmp_path):
    fold = gated(tmp_path, WHOLE)
    fold.say(found(result="failed", model="3.0"), "chad")
    proposal = put_to_the_vote(fold)
    decision = fold.decision(proposal, "adopted")
    fold.refuse("gate whole failed: found so by chad", decision, role="coordinator")
    for member in ("chad", "fiji"):
        fold.say(found(), member)
    decided = fold.say(fold.decision(proposal, "adopted"), role="coordinator")
    fold.say(found(result="failed", model="3.0"), "togo")
    fold.refuse("gate whole failed", publish(decision=decided), role="coordinator")


def test_a_gate_that_does_not_block_is_only_told(tmp_path):
    fold = gated(tmp_path, f"{WHOLE}blocking = false\n")
    released(fold, "1.0")
    assert verdict(fold).status == "missing"
    assert not verdict(fold).blocks


def test_nothing_is_published_while_all_are_halted(tmp_path):
    fold = gated(tmp_path, "")
    decision = fold.adopt(votes.ReleaseModel(version="1.0", model=MODEL))
    halt = oversight.Halt(scope="all", ground="x", reason="y", until=fold.now + 3600)
    fold.say(halt, "ada", role="overseer")
    fold.refuse("all are halted", publish(decision=decision), role="coordinator")


TASK = WHOLE.replace('metric = "integrity"', 'metric = "task"')


# --- the declaration --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        (f'{WHOLE}min = "0"\n', "either 'max' or 'min'"),
        (WHOLE + WHOLE, "is there twice"),
        (RECITED.replace('run_by = "member"', ""), "reads members' text"),
        (WHOLE.replace('metric = "integrity"', 'metric = "task"'), "names a task"),
        (WHOLE.replace('metric = "integrity"', 'metric = "vibes"'), "metric"),
        (f'{TASK}task = "lm-eval:../keys"\n', "a name of a-z"),
        (f'{TASK}task = "lm-eval:proverbs"\n', "digest of its file"),
        (f'{WHOLE}compare = "alone"\n', "only metric 'bits-per-byte'"),
        (f"{WHOLE}waived = true\n", "waived"),
        (f'{WHOLE}boards = {{peru = "key"}}\n', "is not a public key"),
    ],
)
def test_a_gate_that_cannot_be_meant_is_refused(gate, why):
    with pytest.raises(CharterError, match=why):
        parse_charter((charter_toml() + gate).encode())
