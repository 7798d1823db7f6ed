"""Defects that a federation of this kind was seen to have elsewhere, each shown not to be here.

One test, or a few, per row of the table; most behaviours have more tests where they live, named in
the docstrings.
"""

import json
import stat
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from verifylab import verified

from concord.base.errors import (
    DocumentError,
    RefusalReason,
    StatementRefused,
    UpdateRefused,
    VerificationFailed,
)
from concord.base.files import private_folder
from concord.base.objects import ObjectStore
from concord.base.tensors import TensorFile, write_tensors
from concord.charter.run import parse_run
from concord.data.samples import SampleOrder
from concord.federation.coordinator import Coordinator
from concord.federation.member.state import MemberState
from concord.ledger.arithmetic import round_weights, screen_update
from concord.ledger.statements.membership import Join
from concord.ledger.statements.rounds import UpdateSent
from concord.ledger.statements.statement import Statement
from concord.ledger.statements.votes import StartRun
from concord.testing.founded import found
from concord.testing.history import SPECS, History, member_entry, run_value
from concord.testing.run_history import Lie
from concord.testing.scripted_run import coordinating, scripted_engine
from concord.update.payload import UpdateIdentity, encode_update
from concord.update.weights import merge_weights

MEMBERS = ("chad", "fiji", "peru")


def weights(scores, cap, owners=None):
    charter = {f"m{n}": Fraction(score) for n, score in enumerate(scores)}
    return merge_weights(charter, owners=owners or {}, cap=Fraction(cap))


# --- cap 0.4 of two members, scores 5:1: was renormalised over the cap, to 0.5 each -----------
# --- cap 0.3 of three members; cap 0.5 of one: 0.333 each, and 1.0 ----------------------------


@pytest.mark.parametrize(
    ("cap", "scores"), [("2/5", (5, 1)), ("3/10", (1, 1, 1)), ("1/2", (1,)), ("17/50", (1, 1))]
)
def test_a_cap_that_cannot_hold_is_refused(cap, scores):
    with pytest.raises(DocumentError, match="cannot make up the whole"):
        weights(scores, cap)


@pytest.mark.parametrize(("cap", "members"), [("2/5", MEMBERS[:2]), ("3/10", MEMBERS)])
def test_a_run_whose_cap_cannot_hold_is_not_even_put_to_the_vote(tmp_path, cap, members):
    """So for the charter: `tests/charter` has `check_cap`."""
    history = History(tmp_path, members, owner_cap="1")
    run = parse_run(run_value(members, update={"owner_cap": cap}))
    document = history.replica.library.put_run(run)
    with pytest.raises(StatementRefused, match="cannot make up the whole"):
        history.vote(StartRun(document=document))


# --- equal mode, cap 0.34, two members: 0.5 each, the cap was ignored -------------------------


@given(
    scores=st.lists(st.integers(1, 10**9), min_size=1, max_size=12),
    cap=st.fractions(min_value=Fraction(1, 100), max_value=1),
)
def test_the_cap_holds_for_all_scores_or_is_refused(scores, cap):
    if len(scores) * cap < 1:
        with pytest.raises(DocumentError):
            weights(scores, cap)
        return
    found = weights(scores, cap)
    assert max(found.values()) <= cap
    assert sum(found.values()) == 1


@given(
    scores=st.lists(st.integers(1, 1000), min_size=2, max_size=9),
    present=st.sets(st.integers(0, 8), min_size=1),
    cap=st.fractions(min_value=Fraction(1, 10), max_value=1, max_denominator=1000),
    merge=st.sampled_from(["mean", "rda"]),
    norm_control=st.sampled_from(["none", "clip_to_median", "scale_to_median"]),
)
def test_the_cap_holds_in_every_mode_and_whoever_is_absent(
    scores, present, cap, merge, norm_control
):
    present = {f"m{n}" for n in present if n < len(scores)}
    assume(len(present) * cap >= 1)
    run = parse_run(
        {
            "name": "any",
            "roster": [{"id": f"m{n}", "weight": str(s)} for n, s in enumerate(scores)],
            "update": {"owner_cap": str(cap), "merge": merge, "norm_control": norm_control},
        }
    )
    found = round_weights(run, present)
    assert set(found) == present
    assert max(found.values()) <= cap
    assert sum(found.values()) == 1


# --- one owner with three ids, cap 0.5: 0.964 of the weight was its own -----------------------


def test_ids_of_one_owner_share_its_cap():
    owners = {"m1": "acme", "m2": "acme", "m3": "acme"}
    found = weights((1, 9, 9, 9), "1/2", owners)
    assert found["m0"] == Fraction(1, 2)
    assert sum(found[m] for m in owners) == Fraction(1, 2)


def test_a_run_cannot_name_other_owners_than_the_log_knows(tmp_path):
    history = History(tmp_path, MEMBERS, owners={"fiji": "acme", "peru": "acme"}, owner_cap="1/2")
    alone = history.replica.library.put_run(parse_run(run_value(MEMBERS)))
    with pytest.raises(StatementRefused, match="the legal owner of 'fiji' is 'acme'"):
        history.vote(StartRun(document=alone))


def test_nobody_becomes_a_member_without_a_vote(tmp_path):
    history = History(tmp_path, MEMBERS)
    history.say(Join(member=member_entry("sybil")), "sybil", "applicant")
    assert "sybil" not in history.state.members
    run = history.replica.library.put_run(parse_run(run_value((*MEMBERS, "sybil"))))
    with pytest.raises(StatementRefused, match="'sybil' is no member"):
        history.vote(StartRun(document=run))


# --- self-declared quality of 1e9: took the full cap, 0.9 --------------------------------------


def test_what_a_member_says_of_itself_changes_neither_weight_nor_base(tmp_path):
    bases, found = set(), []
    for number, tokens in enumerate((1, 512)):
        history = History(tmp_path / str(number), MEMBERS)
        run = history.adopt()
        run.call()
        updates = {m: run.answer(m, tokens=tokens if m == "fiji" else 100) for m in MEMBERS}
        body = run.commit(updates).statement.body
        bases.add(body.base)
        found.append({m: one.weight for m, one in body.merged.items()})
        verified(history.publish())
    assert len(bases) == 1
    assert found[0] == found[1] == dict.fromkeys(MEMBERS, Fraction(1, 3))


# --- quality = infinity: weight NaN -------------------------------------------------------------


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e400"])
def test_a_number_that_is_not_finite_is_refused_and_its_sender_named(tmp_path, value):
    history = History(tmp_path, MEMBERS)
    run = history.adopt()
    run.call()
    run.answer("fiji")
    said = history.entries[-1]
    assert isinstance(said.statement.body, UpdateSent)
    payload = said.envelope.payload.replace(
        b'"mean_loss":"2.25"', f'"mean_loss":"{value}"'.encode()
    )
    with pytest.raises(StatementRefused, match="mean_loss") as refused:
        Statement.parse(payload, where="fiji")
    assert refused.value.where == "fiji"


@pytest.mark.parametrize("weight", ["inf", "nan", "1e999", "0", "-1"])
def test_a_weight_that_is_no_positive_fraction_is_refused(weight):
    with pytest.raises(DocumentError, match=r"roster\.0"):
        parse_run({"name": "any", "roster": [{"id": "fiji", "weight": weight}]})


# --- a member returns NaN: was accepted, and the base became NaN -------------------------------
# --- one member is offline: an exception ended the round, and its counter had advanced ---------


class Federation:
    """Scripted members in processes of their own, under the real coordinator."""

    def __init__(self, root, scripts):
        self.root = root
        found(root, MEMBERS, witness_over="1/4")
        for member, deeds in scripts.items():
            (root / "members" / member / "script.json").write_text(json.dumps(deeds))

    def run(self):
        run = parse_run(run_value(MEMBERS, rounds={"count": 3, "min_grace_s": 30.0}))
        engine = scripted_engine(self.root, run, restart_pause_s=0.05)
        with coordinating(self.root, run, engine, Coordinator) as coordinator:
            coordinator.run()
        return verified(self.root)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("deed", "reason"),
    [("send_nan", "refused: non-finite"), ("die", "lost"), ("refuse", "declined: no grant")],
)
def test_a_round_ends_without_a_member_that_fails_and_signs_why(tmp_path, deed, reason):
    """More of this kind: `tests/federation/test_coordinator.py`."""
    found = Federation(tmp_path, {"fiji": {deed: 1}}).run()
    (run,) = found.account.runs.values()
    assert [one.number for one in run.rounds] == [1, 2, 3]
    second = run.rounds[1].body
    assert set(second.merged) == {"chad", "peru"}
    assert second.left_out["fiji"].startswith(reason)
    base = TensorFile(found.objects.path(run.base))
    assert all(np.isfinite(array).all() for _, array in base.items())


def test_an_infinite_update_is_refused_before_it_is_weighed(tmp_path):
    history = History(tmp_path, MEMBERS)
    run = history.adopt(update={"codec": "fp32"})
    run.call()
    inputs = run.inputs
    arrays = {spec.name: np.full(spec.shape, 0.01, np.float32) for spec in SPECS}
    path = tmp_path / "update"
    identity = UpdateIdentity(run.digest, 0, inputs.base_digest, "fiji")
    encode_update(path, inputs.update_layout, identity, arrays)
    data = path.read_bytes()
    one = np.float32(0.01).tobytes()
    path.write_bytes(data.replace(one, np.float32(np.nan).tobytes(), 1))
    with pytest.raises(UpdateRefused) as refused:
        screen_update(inputs, "fiji", path, accepted=())
    assert refused.value.reason is RefusalReason.NON_FINITE


def test_the_rounds_are_counted_by_commits_alone(tmp_path):
    history = History(tmp_path, MEMBERS)
    run = history.adopt()
    run.call()
    updates = {"chad": run.answer("chad")}
    with pytest.raises(StatementRefused, match="1 updates of 3; the quorum is 2"):
        run.commit(updates, left_out={"fiji": "lost", "peru": "lost"})
    assert run.round == 0


# --- the coordinator held every member's model and could read the raw text ---------------------


def test_the_coordinator_loads_nothing_that_reads_text_or_trains():
    """That no text crosses its boundary: `tests/cli/test_canary.py`."""
    code = (
        "import sys, concord.federation.coordinator\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'transformers')\n"
        " or m.startswith(('concord.data', 'concord.train', 'concord.model'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_members_folder_is_its_own(tmp_path):
    folder = private_folder(tmp_path / "private")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


# --- contribution and artefact shared tensors: changing one changed the other ------------------


def test_an_update_cannot_be_changed_behind_its_digest(tmp_path):
    objects = ObjectStore(tmp_path / "objects")
    source = tmp_path / "tensors"
    digest = write_tensors(source, list(SPECS), (np.ones(s.shape, np.float32) for s in SPECS))
    objects.put(source.read_bytes())
    source.write_bytes(b"changed")
    held = TensorFile(objects.path(digest))
    with pytest.raises(ValueError, match="read-only"):
        held["layer.weight"][0, 0] = 7.0
    assert objects.get(digest)


def test_a_base_is_not_changed_by_what_is_made_of_it(tmp_path):
    history = History(tmp_path, MEMBERS)
    run = history.adopt()
    first = history.state.run(run.digest).first_base
    run.round_of()
    run.round_of()
    assert history.objects.verified_path(first)
    assert history.state.run(run.digest).base != first


# --- inner state was thrown away each round; padding was trained on ----------------------------


def test_a_members_inner_state_lasts_from_round_to_round(tmp_path):
    """The rest of what it keeps: `tests/federation/test_member_state.py`."""
    run, update = "sha256:" + "0" * 64, "sha256:" + "1" * 64
    state = MemberState(tmp_path, run)
    state.save_pending(update, {"momentum/w": np.full(3, 0.5, np.float32)})
    state.settle(update)
    kept = MemberState(tmp_path, run).load_local()
    assert kept is not None
    assert kept["momentum/w"].tolist() == [0.5, 0.5, 0.5]


class Ring:
    """As many tokens as there are numbers below `count`."""

    def __init__(self, count):
        self.token_count = count

    def at(self, positions):
        return positions


@given(count=st.integers(40, 400), context=st.integers(1, 16), step=st.integers(0, 50))
def test_every_token_of_a_batch_is_one_of_the_text(count, context, step):
    """Samples are cut from a ring of tokens, so there is no padding to train on."""
    order = SampleOrder(Ring(count), seed=1, member="fiji", context=context)
    batch = order.batch(step, 2)
    assert batch.shape == (2, context + 1)
    assert ((batch >= 0) & (batch < count)).all()
    assert ((batch[:, 1:] - batch[:, :-1]) % count == 1).all()


# --- a half-applied average looked like a complete one -----------------------------------------


class Stopped(Exception):
    """The coordinator was stopped at this instant."""


def stop(*_):
    raise Stopped


@pytest.mark.parametrize("moment", ["base", "record", "claim"])
def test_a_round_whose_commit_was_interrupted_has_not_happened(tmp_path, moment):
    """With kill -9 at random instants: `tests/cli/test_kill_and_resume.py`."""
    history = History(tmp_path, MEMBERS)
    run = history.adopt()
    run.round_of()
    base = history.state.run(run.digest).base
    with pytest.raises(Stopped):
        run.round_of(lie=Lie(**{moment: stop}))
    found = verified(history.publish())
    (account,) = found.account.runs.values()
    assert (len(account.rounds), account.base) == (1, base)


def test_a_base_cut_short_is_named(tmp_path):
    history = History(tmp_path, MEMBERS)
    run = history.adopt()
    run.round_of()
    path = history.objects.path(history.state.run(run.digest).base)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(VerificationFailed, match="current base") as failed:
        verified(history.publish())
    assert "was altered" in failed.value.message
