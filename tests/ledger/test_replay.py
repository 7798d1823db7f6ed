"""A stranger computes every base again from the objects, or names the first thing wrong."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from replaylab import MATRIX, MEMBERS, ROSTER, Claim, arrays_of, document, play

from concord.base.digest import digest_bytes, digest_file
from concord.base.errors import VerificationFailed
from concord.base.tensors import TensorFile, TensorSpec, write_tensors
from concord.ledger.layouts import update_layout
from concord.ledger.replay import Replayer, read_run
from concord.update.payload import UpdateIdentity, encode_update

RULES = {
    "as by default": {},
    "momentum and a cap": {
        "owner_cap": "3/8",
        "outer": {"momentum": 0.9, "lr": 0.7, "embedding_lr": 1.1},
    },
    "late decay": {"outer": {"late_share": 0.5}},
    "rda, token counts, adam": {
        "codec": "int8",
        "down_codec": "bf16",
        "merge": "rda",
        "rows": "token_counts",
        "norm_control": "clip_to_median",
        "outer": {"optimizer": "adam"},
    },
    "sparse": {"codec": "sparse", "down_codec": "sparse", "norm_control": "scale_to_median"},
    "exact": {"codec": "fp32", "down_codec": "fp32", "outer": {"momentum": 0.5}},
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("every", [1, 2])
def test_every_base_is_found_again_to_the_last_bit(tmp_path, rules, every):
    run = document(update=rules, inner={"state": {"codec": "int4", "every_rounds": every}})
    played = play(tmp_path, run, rounds=4, absent={1: ["fiji"], 2: ["chad"]})
    replayer = played.replayer(tmp_path / "work")
    for record, claim in zip(played.records[1:], played.claims(), strict=True):
        found = claim.replayed_by(replayer)
        assert digest_file(replayer.base) == record.base
        assert found.round == record.round
        assert found.norms == {m: c.norm for m, c in record.contributions.items()}
        assert found.norm_history.to_record() == record.norm_history


UNEQUAL = {"chad": 3, "fiji": 2, "laos": 1, "niger": 3, "peru": 3}


def test_unequal_steps_are_weighed_and_found_again(tmp_path):
    rounds = {"count": 8, "inner_steps": 3, "pace": "by_speed"}
    run = document(rounds=rounds, update={"codec": "fp32", "max_norm_ratio": 16.0})
    played = play(tmp_path, run, rounds=4, absent={1: ["fiji"]}, steps=UNEQUAL)
    replayer = played.replayer(tmp_path / "work")
    for record, claim in zip(played.records[1:], played.claims(), strict=True):
        charter = {
            m["id"]: Fraction(m.get("weight", 1)) for m in ROSTER if m["id"] in claim.weights
        }
        total = sum(weight * UNEQUAL[m] for m, weight in charter.items())
        assert claim.weights == {m: w * UNEQUAL[m] / total for m, w in charter.items()}
        assert claim.replayed_by(replayer).norm_history.to_record() == record.norm_history
        assert digest_file(replayer.base) == record.base


def test_steps_that_were_not_planned_do_not_explain_the_weights(tmp_path):
    rounds = {"count": 8, "inner_steps": 3, "pace": "by_speed"}
    played = play(tmp_path, document(rounds=rounds), rounds=1, steps=UNEQUAL)
    claim = replace(played.claims()[0], steps={**UNEQUAL, "laos": 2})
    with pytest.raises(VerificationFailed, match="weight is claimed to be"):
        claim.replayed_by(played.replayer(tmp_path / "work"))


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    run = document(update={"owner_cap": "3/8", "outer": {"momentum": 0.9}})
    return play(tmp_path_factory.mktemp("played"), run, rounds=5, absent={3: ["fiji"]})


@pytest.fixture
def replayer(played, tmp_path):
    return played.replayer(tmp_path / "work")


@pytest.fixture
def third(played, replayer):
    """The replay before its third round, and what is claimed of that."""
    for claim in played.claims()[:2]:
        claim.replayed_by(replayer)
    return played.claims()[2]


def failure_of(replayer, claim):
    with pytest.raises(VerificationFailed) as failed:
        claim.replayed_by(replayer)
    return str(failed.value)


def with_update(claim, member, digest):
    return replace(claim, updates={**claim.updates, member: digest})


OTHER = digest_bytes(b"something else")


def test_an_update_that_is_missing_is_named(replayer, third):
    told = failure_of(replayer, with_update(third, "laos", OTHER))
    assert told.startswith("round 3, laos: update")
    assert "missing" in told


@pytest.mark.parametrize("place", [0, 20, 400, -9, -1])
def test_an_altered_update_is_named(played, replayer, third, place):
    path = played.objects.path(third.updates["peru"])
    whole = path.read_bytes()
    altered = bytearray(whole)
    altered[place] ^= 4
    path.write_bytes(altered)
    try:
        told = failure_of(replayer, third)
    finally:
        path.write_bytes(whole)
    assert told.startswith("round 3, peru: update is altered")


def test_an_update_too_large_to_be_one_is_not_even_read(played, replayer, third):
    path = played.objects.path(third.updates["peru"])
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(1 << 16))
    try:
        told = failure_of(replayer, third)
    finally:
        path.write_bytes(whole)
    assert told.startswith("round 3, peru: update is altered")
    assert "more than it can have" in told


def test_updates_of_two_members_swapped_are_found(replayer, third):
    swapped = with_update(third, "laos", third.updates["fiji"])
    swapped = with_update(swapped, "fiji", third.updates["laos"])
    told = failure_of(replayer, swapped)
    assert told.startswith("round 3, fiji: update had to be refused as not-in-roster")


def test_an_update_of_an_earlier_round_is_found(played, replayer, third):
    earlier = played.claims()[0].updates["chad"]
    told = failure_of(replayer, with_update(third, "chad", earlier))
    assert told.startswith("round 3, chad: update had to be refused as wrong-round")


def forged(played, claim_number, member, *, scale=1.0, seed=77, **changes):
    """Digest of a well-formed update that was never sent, put among the objects."""
    base = played.records[claim_number].base
    layout = update_layout(played.run, TensorFile(played.objects.path(base)).specs, claim_number)
    arrays = arrays_of(layout, np.random.default_rng(seed))
    arrays = {n: a * np.float32(scale) if layout.by_name[n].is_weight else a
              for n, a in arrays.items()}  # fmt: skip
    identity = UpdateIdentity(played.run.digest, claim_number, base, member)
    path = played.folder.root / "forged"
    summary, _ = encode_update(path, layout, replace(identity, **changes), arrays)
    played.objects.adopt(path, summary.digest)
    return summary.digest


@pytest.fixture
def last(played, replayer):
    """The replay before its last round: its base is still there, so updates for it can be made."""
    for claim in played.claims()[:4]:
        claim.replayed_by(replayer)
    return played.claims()[4]


def test_another_well_formed_update_leads_to_another_step(played, replayer, last):
    told = failure_of(replayer, with_update(last, "niger", forged(played, 4, "niger")))
    assert told.startswith("round 5: outer step is claimed to be sha256:")


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_an_update_out_of_bounds_should_not_have_been_let_in(played, replayer, last, scale):
    claim = with_update(last, "niger", forged(played, 4, "niger", scale=scale))
    told = failure_of(replayer, claim)
    assert told.startswith("round 5, niger: update had to be refused as norm-out-of-bounds")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"base": OTHER}, "wrong-base"), ({"run": OTHER}, "wrong-run"), ({"round": 3}, "wrong-round")],
)
def test_an_update_for_something_else_should_not_have_been_let_in(
    played, replayer, last, changes, reason
):
    claim = with_update(last, "niger", forged(played, 4, "niger", **changes))
    told = failure_of(replayer, claim)
    assert told.startswith(f"round 5, niger: update had to be refused as {reason}")


def test_an_update_with_an_infinite_scale_should_not_have_been_let_in(played, replayer, last):
    data = bytearray(played.objects.get(last.updates["niger"]))
    begin = 12 + int.from_bytes(data[8:12], "little")
    data[begin : begin + 4] = np.float32(np.inf).tobytes()
    claim = with_update(last, "niger", played.objects.put(bytes(data)))
    told = failure_of(replayer, claim)
    assert told.startswith("round 5, niger: update had to be refused as non-finite")
    assert "embed_tokens.weight" in told


@pytest.mark.parametrize("rubbish", [b"", b"CONCORD1", b"\0" * 700, b"CONCORD1" + b"\xff" * 90])
def test_rubbish_in_place_of_an_update_is_named(played, replayer, last, rubbish):
    claim = with_update(last, "niger", played.objects.put(rubbish))
    assert "update had to be refused as malformed" in failure_of(replayer, claim)


def test_a_weight_that_was_raised_is_named(replayer, third):
    told = failure_of(replayer, third.weighing(peru="1/2"))
    assert told == "round 3, peru: weight is claimed to be 1/2, but is 35/184"


def test_a_weight_that_was_moved_between_members_of_one_owner_is_named(replayer, third):
    given = third.weights["chad"] + third.weights["niger"]
    told = failure_of(replayer, third.weighing(chad=given / 2, niger=given / 2))
    assert told.startswith("round 3, chad: weight is claimed to be")


def test_a_member_left_out_of_the_claim_is_missed(replayer, third):
    rest = {member: digest for member, digest in third.updates.items() if member != "peru"}
    told = failure_of(replayer, replace(third, updates=rest))
    assert told.startswith("round 3, chad: weight")
    rest_only = {member: w for member, w in third.weights.items() if member != "peru"}
    with pytest.raises(VerificationFailed, match="no base to go on from"):
        replace(third, updates=rest, weights=rest_only).replayed_by(replayer)


def test_leaving_a_member_out_with_the_right_weights_leads_to_another_step(replayer, third):
    rest = {member: digest for member, digest in third.updates.items() if member != "peru"}
    total = Fraction(2, 7) + 1 + 3 + 1
    shares = {"chad": Fraction(2, 7) / total, "fiji": 1 / total, "niger": 1 / total}
    scale = Fraction(5, 8) / sum(shares.values())
    weights = {**{m: share * scale for m, share in shares.items()}, "laos": Fraction(3, 8)}
    told = failure_of(replayer, replace(third, updates=rest, weights=weights))
    assert told.startswith("round 3: outer step is claimed")


def test_a_stranger_to_the_roster_is_named(replayer, third):
    claim = with_update(third, "tonga", third.updates["peru"])
    assert failure_of(replayer, claim) == "round 3, tonga: is not in the run's roster"


def test_too_few_owners_for_the_cap_are_named(replayer, third):
    two = {member: third.updates[member] for member in ("chad", "niger")}
    told = failure_of(replayer, replace(third, updates=two, weights={}))
    assert told.startswith("round 3: cannot be weighed")
    assert "owner" in told


def test_a_round_of_nobody_is_none(replayer, third):
    told = failure_of(replayer, replace(third, updates={}, weights={}))
    assert told.startswith("round 3: cannot be weighed")


@pytest.mark.parametrize(
    ("field", "what"), [("step", "outer step"), ("base", "base"), ("outer_state", "outer state")]
)
def test_a_claimed_result_that_is_not_the_result_is_named(replayer, third, field, what):
    told = failure_of(replayer, replace(third, **{field: OTHER}))
    right = getattr(third, field)
    assert told == f"round 3: {what} is claimed to be {OTHER}, but is {right}"


def test_an_outer_state_that_was_left_out_is_missed(replayer, third):
    told = failure_of(replayer, replace(third, outer_state=None))
    assert told.startswith("round 3: outer state is claimed to be none, but is sha256:")


def test_rounds_in_another_order_are_found(played, replayer, tmp_path):
    first, second, *_ = played.claims()
    assert "wrong-round" in failure_of(replayer, second)
    replayer = played.replayer(tmp_path / "again")
    first.replayed_by(replayer)
    assert "wrong-round" in failure_of(replayer, first)


def test_after_a_failure_nothing_goes_on(replayer, third):
    failure_of(replayer, third.weighing(peru="1/2"))
    assert "no base to go on from" in failure_of(replayer, third)
    with pytest.raises(VerificationFailed):
        _ = replayer.base


def test_another_run_document_gives_another_history(played, tmp_path):
    """One field of it is another: every update already says that it is for another run."""
    rules = played.run.update.model_copy(update={"owner_cap": Fraction(1, 2)})
    other = played.run.model_copy(update={"update": rules})
    replayer = Replayer(other, played.objects, tmp_path)
    replayer.start(played.records[0].base)
    claim = played.claims()[0]
    assert "weight" in failure_of(replayer, claim)
    rates = played.run.update.outer.model_copy(update={"lr": 1.3})
    rules = played.run.update.model_copy(update={"outer": rates})
    replayer = Replayer(played.run.model_copy(update={"update": rules}), played.objects, tmp_path)
    replayer.start(played.records[0].base)
    assert "refused as wrong-run" in failure_of(replayer, claim)


def start(played, tmp_path, digest):
    with pytest.raises(VerificationFailed) as failed:
        Replayer(played.run, played.objects, tmp_path).start(digest)
    return str(failed.value)


def test_a_first_base_that_is_missing_or_altered_is_named(played, tmp_path):
    assert start(played, tmp_path, OTHER).startswith("round 0: first base")
    assert "missing" in start(played, tmp_path, "no digest at all")
    path = played.objects.path(played.records[0].base)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        assert "first base is altered" in start(played, tmp_path, played.records[0].base)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("rubbish", [b"", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"{}      "])
def test_a_first_base_that_is_none_is_named(played, tmp_path, rubbish):
    """An empty set of tensors is a base too, of nothing: its updates then fail."""
    digest = played.objects.put(rubbish)
    if rubbish.endswith(b"}      "):
        Replayer(played.run, played.objects, tmp_path).start(digest)
        return
    assert "first base cannot be used" in start(played, tmp_path, digest)


def test_a_first_base_without_the_embedding_that_rows_need_is_named(tmp_path):
    run = document(update={"rows": "token_counts"})
    played = play(tmp_path, run, rounds=0)
    path = tmp_path / "bare"
    digest = write_tensors(path, [TensorSpec(MATRIX, (2, 2))], [np.ones((2, 2), np.float32)])
    played.objects.adopt(path, digest)
    assert "no embedding" in start(played, tmp_path, digest)


def test_a_base_that_names_a_tensor_out_of_bounds_is_named(played, tmp_path):
    path = tmp_path / "odd"
    digest = write_tensors(path, [TensorSpec("a b", (1,))], [np.ones(1, np.float32)])
    played.objects.adopt(path, digest)
    assert "not a name for a tensor" in start(played, tmp_path, digest)


def test_only_the_current_base_and_state_lie_on_disk(played, tmp_path):
    work = tmp_path / "work"
    replayer = played.replayer(work)
    for claim in played.claims():
        claim.replayed_by(replayer)
        assert sorted(path.name for path in work.iterdir()) == ["base", "outer_state"]
    assert digest_file(work / "base") == played.records[-1].base


def test_progress_tells_what_is_looked_at(played, tmp_path):
    told = []
    replayer = played.replayer(tmp_path / "work", progress=lambda *args: told.append(args))
    played.claims()[0].replayed_by(replayer)
    updates = [(1, f"update of {member}") for member in MEMBERS]
    assert told == [(0, "first base"), *updates, (1, "merge")]


def test_the_run_document_is_read_from_its_digest(played):
    assert read_run(played.objects, played.run.digest) == played.run


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (lambda data: data.replace(b'"seed":0', b'"seed":0 '), "not in the form"),
        (lambda data: data.replace(b'"seed":0', b'"sead":0'), "unknown key"),
        (lambda data: data[:-1], "cannot be read"),
        (lambda data: b"[" * 9999, "cannot be read"),
        (lambda data: b" " * (5 << 20), "more than it can have"),
    ],
)
def test_a_run_document_that_is_none_is_named(played, alter, told):
    digest = played.objects.put(alter(played.run.canonical))
    with pytest.raises(VerificationFailed, match=told):
        read_run(played.objects, digest)


def test_a_replay_needs_no_torch():
    script = "import sys, concord.ledger.replay; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_claim_of_a_record_is_all_that_is_needed(played):
    assert Claim.of(played.records[4]).updates.keys() == set(MEMBERS) - {"fiji"}
