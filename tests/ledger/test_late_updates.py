"""Updates that come one round late: merged by the run document alone, and computed again."""

from dataclasses import replace

import numpy as np
import pytest
from replaylab import MEMBERS, Claim, document, play, write_update
from replaylab import header as header_of

from concord.base.digest import digest_file
from concord.base.errors import DocumentError, UpdateRefused, VerificationFailed
from concord.base.tensors import TensorFile
from concord.federation.frames import Frame
from concord.federation.merging import RunState
from concord.ledger.layouts import update_layout
from concord.update.late import corrected
from concord.update.payload import UpdateFile

LATE = {
    "update": {
        "late": "correct",
        "codec": "fp32",
        "down_codec": "fp32",
        "outer": {"momentum": 0.9, "lr": 1.0, "embedding_lr": 1.0},
    },
    "inner": {"state": {"mode": "local"}},
}


@pytest.fixture
def played(tmp_path):
    """Two rounds in time, a third without fiji, a fourth that fiji's update of the third enters."""
    run = document(**LATE)
    played = play(tmp_path, run, rounds=2)
    state = RunState(run, played.folder)
    rng = np.random.default_rng(7)
    late = write_update(tmp_path, run, state, "fiji", rng).rename(tmp_path / "late")
    said = header_of(state, late)
    commit(tmp_path, run, state, rng, [m for m in MEMBERS if m != "fiji"])
    played.before = state.inputs()
    state.accept_late("fiji", said, Frame(b"", late))
    played.kept = TensorFile(played.objects.path(state.record.outer_state))
    commit(tmp_path, run, state, rng, [m for m in MEMBERS if m != "fiji"])
    played.state = state
    return played


def commit(root, run, state, rng, members, roster=MEMBERS):
    merge = state.open_round(started_s=0.0)
    for member in members:
        path = write_update(root, run, state, member, rng)
        merge.accept(member, header_of(state, path), Frame(b"", path))
    left_out = {m: "late: no update before the round closed" for m in roster if m not in members}
    merge.commit(left_out=left_out, closed_because="", now_s=1.0, bytes_up={}, bytes_down={})


def claims(played):
    made = []
    for record in played.records[1:]:
        late = [m for m, c in record.contributions.items() if c.late]
        made.append((Claim.of(record), late))
    return made


def replayed(claim, late, replayer):
    return replayer.round(
        claim.updates,
        claim.weights,
        base=claim.base,
        step=claim.step,
        outer_state=claim.outer_state,
        late=late,
    )


def test_the_record_says_that_an_update_was_late_and_a_replay_finds_the_same_base(played, tmp_path):
    third, fourth = played.records[3], played.records[4]
    assert "fiji" in third.left_out
    assert fourth.contributions["fiji"].late
    assert "fiji" not in fourth.left_out
    replayer = played.replayer(tmp_path / "work")
    for record, (claim, late) in zip(played.records[1:], claims(played), strict=True):
        found = replayed(claim, late, replayer)
        assert digest_file(replayer.base) == record.base
        assert found.norm_history.to_record() == record.norm_history


def test_it_enters_turned_towards_the_momentum_before_the_round(played):
    fourth = played.records[4]
    step = {}
    base = TensorFile(played.objects.path(played.records[3].base))
    after = TensorFile(played.objects.path(fourth.base))
    layout = update_layout(played.run, base.specs, 3)
    for spec in base.specs:
        if "/" in spec.name:
            continue
        kept = played.kept[f"{spec.name}#momentum"]
        merged = np.zeros(spec.shape)
        for one in fourth.contributions.values():
            update = UpdateFile(played.objects.path(one.update), layout)
            values = update.decode(spec.name)
            if one.late:
                values = corrected(values, kept * np.float32(0.1))
            merged += float(one.weight) * values
        buffer = 0.9 * kept + merged
        step[spec.name] = merged + 0.9 * buffer
        assert np.allclose(base[spec.name] - after[spec.name], step[spec.name], atol=1e-5)


def test_a_late_update_that_is_claimed_to_be_in_time_is_found_out(played, tmp_path):
    replayer = played.replayer(tmp_path / "work")
    *before, (claim, late) = claims(played)
    for one, none in before:
        replayed(one, none, replayer)
    assert late == ["fiji"]
    with pytest.raises(VerificationFailed, match="fiji: update had to be refused as wrong-round"):
        replayed(claim, [], replayer)


def test_an_update_in_time_that_is_claimed_to_be_late_is_found_out(played, tmp_path):
    replayer = played.replayer(tmp_path / "work")
    *before, (claim, _) = claims(played)
    for one, none in before:
        replayed(one, none, replayer)
    with pytest.raises(VerificationFailed, match="peru: update had to be refused as wrong-round"):
        replayed(claim, ["fiji", "peru"], replayer)


def test_who_sent_an_update_in_time_needs_no_late_one(played, tmp_path):
    state, rng = played.state, np.random.default_rng(8)
    late = write_update(tmp_path, played.run, state, "fiji", rng).rename(tmp_path / "late")
    said = header_of(state, late)
    commit(tmp_path, played.run, state, rng, [m for m in MEMBERS if m != "fiji"])
    state.accept_late("fiji", said, Frame(b"", late))
    commit(tmp_path, played.run, state, rng, MEMBERS)
    assert not state.record.contributions["fiji"].late
    assert not late.exists()


def test_who_is_not_in_the_roster_of_the_next_round_has_its_late_update_dropped(played, tmp_path):
    state, rng = played.state, np.random.default_rng(8)
    late = write_update(tmp_path, played.run, state, "fiji", rng).rename(tmp_path / "late")
    said = header_of(state, late)
    others = [m for m in MEMBERS if m != "fiji"]
    commit(tmp_path, played.run, state, rng, others)
    state.accept_late("fiji", said, Frame(b"", late))
    commit(tmp_path, played.run, state, rng, others, roster=others)  # halted, or suspended, by now
    assert state.record.contributions.keys() == set(others)
    assert not state.record.left_out
    assert not late.exists()


def test_two_rounds_late_is_too_late(played, tmp_path):
    state, rng = played.state, np.random.default_rng(8)
    late = write_update(tmp_path, played.run, state, "fiji", rng).rename(tmp_path / "late")
    said = header_of(state, late)
    for _ in range(2):
        commit(tmp_path, played.run, state, rng, [m for m in MEMBERS if m != "fiji"])
    with pytest.raises(UpdateRefused, match="is for round 4"):
        state.accept_late("fiji", said, Frame(b"", late))
    lying = replace(said, round=5)
    with pytest.raises(UpdateRefused, match="is for round 4, this is 5"):
        state.accept_late("fiji", lying, Frame(b"", late))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"update": {"late": "correct"}}, "update.outer.momentum above 0"),
        ({"update": {"late": "correct", "merge": "rda"}}, "update.merge 'mean'"),
        ({"rounds": {"pace": "by_speed"}}, "rounds.pace 'equal'"),
        ({"inner": {"state": {"every_rounds": 2}}}, "inner.state.every_rounds 1"),
    ],
)
def test_what_late_updates_do_not_go_with_is_refused(changes, match):
    with pytest.raises(DocumentError, match=match):
        document(**{**LATE, **changes})
