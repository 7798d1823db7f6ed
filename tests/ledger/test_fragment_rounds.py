"""Rounds that move one part of a model each: what moves, what is kept, what is refused."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from replaylab import (
    EMBEDDING,
    MATRIX,
    MEMBERS,
    SPECS,
    arrays_of,
    document,
    header,
    play,
    write_update,
)

from concord.base.digest import digest_file
from concord.base.errors import (
    DocumentError,
    RefusalReason,
    UpdateRefused,
    VerificationFailed,
)
from concord.base.tensors import TensorFile
from concord.federation.frames import Frame
from concord.federation.merging import RunState
from concord.ledger.arithmetic import norm_scale
from concord.ledger.layouts import step_layout, update_layout
from concord.update.payload import UpdateIdentity, encode_update, most_bytes
from concord.update.screening import NormBounds, NormHistory

PARTS = {"count": 8, "inner_steps": 3, "fragments": 2}
ROWS = f"second_moment/rows/{EMBEDDING}"
FIRST, SECOND = {MATRIX}, {EMBEDDING, "norm.weight", ROWS}
"""What the first round moves, and what the second one."""
UPDATES = {
    "plain": {},
    "momentum": {"outer": {"momentum": 0.9, "lr": 0.7}},
    "adam": {"outer": {"optimizer": "adam", "lr": 0.01}},
    "sparse": {"codec": "sparse", "down_codec": "sparse"},
    "robust": {"merge": "trimmed_mean"},
    "clipped": {"merge": "rda", "norm_control": "clip_groups"},
}


def run_of(update, rounds=PARTS, **inner):
    changes = {"roster": [{"id": m} for m in MEMBERS]} if update == "robust" else {}
    return document(rounds=rounds, update=UPDATES[update], inner=inner, **changes)


def stages(played, workdir):
    """Of each round, as a stranger computes it again: base and outer state before and after."""
    replayer, files = played.replayer(workdir), []

    def tensors(path):
        return {} if path is None else {s.name: a.copy() for s, a in TensorFile(path).items()}

    def now():
        return tensors(replayer.inputs.base), tensors(replayer.inputs.outer_state)

    files.append(now())
    for record, claim in zip(played.records[1:], played.claims(), strict=True):
        claim.replayed_by(replayer)
        assert digest_file(replayer.base) == record.base
        files.append(now())
    return list(pairwise(files))


def changed(before, after):
    """Names of tensors that differ; one that was not there is as good as zeros."""
    zeros = {name: np.zeros_like(array) for name, array in after.items()}
    return {name for name in after if not np.array_equal({**zeros, **before}[name], after[name])}


@pytest.mark.parametrize("update", UPDATES)
def test_a_round_moves_its_own_fragment_and_a_stranger_finds_the_same(tmp_path, update):
    played = play(tmp_path, run_of(update), rounds=5, absent={3: ["laos"]})
    moved = [changed(old[0], new[0]) for old, new in stages(played, tmp_path / "work")]
    assert moved == [FIRST, SECOND, FIRST, SECOND, FIRST]


@pytest.mark.parametrize("update", ["momentum", "adam", "sparse"])
def test_what_the_outer_optimiser_keeps_of_the_others_stays(tmp_path, update):
    played = play(tmp_path, run_of(update), rounds=4)
    for number, (old, new) in enumerate(stages(played, tmp_path / "work")):
        of = {name.partition("#")[0] for name in changed(old[1], new[1])}
        expected = {name for name in (FIRST, SECOND)[number % 2] if name != ROWS}
        # norms travel down exactly where all else is sparse: nothing is left out of them
        assert of == expected - ({"norm.weight"} if update == "sparse" else set())


def test_an_update_and_a_step_hold_the_fragment_alone():
    run = run_of("plain")
    for layout in (update_layout, step_layout):
        assert [{entry.name for entry in layout(run, SPECS, r)} for r in range(4)] == [
            *(FIRST, SECOND),
            *(FIRST, SECOND),
        ]


def test_shared_state_travels_every_few_turns_of_its_fragment():
    run = run_of("plain", state={"every_rounds": 2})
    assert [ROWS in step_layout(run, SPECS, r) for r in range(8)] == [
        *(False, False, False, True),
        *(False, False, False, True),
    ]


def test_one_fragment_is_the_whole_model():
    parts = {**PARTS, "fragments": 1}
    assert {e.name for e in update_layout(run_of("plain", parts), SPECS, 1)} == FIRST | SECOND


def of_another_fragment(run, state, folder):
    """fiji's update for the next round, with the tensors of the round after."""
    layout = update_layout(run, SPECS, state.committed + 1)
    identity = UpdateIdentity(run.digest, state.committed, state.current.digest, "fiji")
    path = folder / "foreign"
    encode_update(path, layout, identity, arrays_of(layout, np.random.default_rng(0)))
    return path


def test_an_update_of_another_fragment_is_refused(tmp_path):
    run = run_of("plain")
    state = RunState(run, play(tmp_path, run, rounds=2).folder)
    path = of_another_fragment(run, state, tmp_path)
    with pytest.raises(UpdateRefused, match="names other tensors") as refused:
        state.open_round(started_s=0.0).accept("fiji", header(state, path), Frame(b"", path))
    assert refused.value.reason == RefusalReason.WRONG_NAME


def test_a_coordinator_that_let_one_in_is_found_out(tmp_path):
    run = run_of("plain")
    played = play(tmp_path, run, rounds=2)
    path = of_another_fragment(run, RunState(run, played.folder), tmp_path)
    played.objects.put(path.read_bytes())
    first, second = played.claims()
    replayer = played.replayer(tmp_path / "work")
    for claim in (first, second):
        claim.replayed_by(replayer)
    forged = replace(first, updates={"fiji": digest_file(path)}, weights={"fiji": Fraction(1)})
    with pytest.raises(VerificationFailed, match="fiji: update had to be refused as wrong-name"):
        forged.replayed_by(replayer)


def test_a_transport_takes_no_more_than_the_largest_fragment(tmp_path):
    run = run_of("plain")
    state = RunState(run, play(tmp_path, run, rounds=2).folder)
    sizes = [most_bytes(update_layout(run, SPECS, round_)) for round_ in (0, 1)]
    assert state.largest_update == max(sizes)
    assert sum(sizes) > max(sizes) > min(sizes)


def test_norms_are_compared_with_those_of_the_same_fragment(tmp_path):
    """The embedding's updates are 20 times as long: no round takes them for outliers."""
    played = play(tmp_path, run_of("plain"), rounds=8, sizes={EMBEDDING: 20.0})
    replayer = played.replayer(tmp_path / "work")
    for record, claim in zip(played.records[1:], played.claims(), strict=True):
        found = claim.replayed_by(replayer)
        assert found.norm_history.to_record() == record.norm_history
        assert NormHistory.from_record(record.norm_history) == found.norm_history
    first, second = (np.median(record.norm_history[f"{p}/total"]) for p in (0, 1))
    assert second > 8 * first


def test_norms_are_reckoned_by_all_steps_since_the_fragment_was_sent():
    run, whole = run_of("plain"), run_of("plain", {**PARTS, "fragments": 1})
    assert norm_scale(whole, 5) == pytest.approx(3.0)
    assert norm_scale(run, 0) == pytest.approx(3.0), "its first steps"
    assert [norm_scale(run, round_) for round_ in (1, 2, 7)] == pytest.approx([6.0] * 3)
    feeding = run_of("sparse")
    assert norm_scale(feeding, 3) == pytest.approx(6 + 0.95 * 6)
    assert norm_scale(feeding, 4) == pytest.approx(6 + 0.95 * (6 + 0.95 * 3))


@given(
    st.lists(st.floats(0.01, 100), min_size=2, max_size=5),
    st.floats(0, 1000),
    st.floats(0, 1),
    st.floats(1, 10),
)
def test_a_fragment_is_bound_as_it_is_in_a_whole_model(usual, norm, least, most):
    """As an update whose other fragments have their usual norms, against the usual one."""
    history = NormHistory(fragments={p: NormHistory((n,) * 3) for p, n in enumerate(usual)})
    bounds = NormBounds(least, most, history.beside(0))
    whole = np.sqrt(norm**2 + history.beside(0)) / np.linalg.norm(usual)
    assume(all(abs(whole - ratio) > 1e-6 for ratio in (least, most)))
    low, high = bounds.around(usual[0])
    assert (low <= norm <= high) == (least <= whole <= most)


def test_a_fragment_far_out_of_bounds_is_refused(tmp_path):
    run = run_of("plain", state={"mode": "local"})
    state = RunState(run, play(tmp_path, run, rounds=6).folder)
    merge, rng = state.open_round(started_s=0.0), np.random.default_rng(1)
    half = write_update(tmp_path, run, state, "fiji", rng, sizes={MATRIX: 0.2})
    merge.accept("fiji", header(state, half), Frame(b"", half))
    huge = write_update(tmp_path, run, state, "peru", rng, sizes={MATRIX: 10.0})
    with pytest.raises(UpdateRefused) as refused:
        merge.accept("peru", header(state, huge), Frame(b"", huge))
    assert refused.value.reason == RefusalReason.NORM_OUT_OF_BOUNDS


@pytest.mark.parametrize("name", ["0/0/total", "x/total", "-1/total", "/total"])
def test_a_history_of_an_impossible_fragment_is_refused(name):
    with pytest.raises(DocumentError, match="not a history of norms"):
        NormHistory.from_record({name: (1.0,)})
