"""What a member keeps follows from the committed rounds with its update, and from nothing else."""

import numpy as np
import pytest

from concord.base.errors import CheckpointError
from concord.federation.member.state import MemberState

RUN = "sha256:" + "0" * 64
UPDATES = ["sha256:" + digit * 64 for digit in "123"]


def saved(state, update, value):
    state.save_pending(update, {"momentum/w": np.full(3, value, np.float32)})


def value_of(state):
    tensors = state.load_local()
    return None if tensors is None else float(tensors["momentum/w"][0])


def test_a_pending_state_counts_once_its_update_is_in_a_base(tmp_path):
    state = MemberState(tmp_path, RUN)
    saved(state, UPDATES[0], 1.0)
    assert value_of(state) is None
    state.settle(UPDATES[0])
    assert value_of(state) == 1.0


def test_what_was_computed_for_a_round_that_closed_without_it_is_thrown_away(tmp_path):
    state = MemberState(tmp_path, RUN)
    saved(state, UPDATES[0], 1.0)
    state.settle(UPDATES[0])
    saved(state, UPDATES[1], 2.0)
    state.settle(UPDATES[0])
    assert value_of(state) == 1.0


def test_a_member_killed_after_the_commit_finds_its_state_when_it_comes_back(tmp_path):
    saved(MemberState(tmp_path, RUN), UPDATES[0], 1.0)
    again = MemberState(tmp_path, RUN)
    again.settle(UPDATES[0])
    assert value_of(again) == 1.0


def test_a_member_whose_state_was_lost_starts_afresh(tmp_path):
    state = MemberState(tmp_path, RUN)
    saved(state, UPDATES[0], 1.0)
    state.settle(UPDATES[0])
    state.settle(UPDATES[2])
    assert value_of(state) is None


def test_the_state_of_another_run_is_not_used(tmp_path):
    state = MemberState(tmp_path, RUN)
    saved(state, UPDATES[0], 1.0)
    state.settle(UPDATES[0])
    assert value_of(MemberState(tmp_path, UPDATES[1])) is None


def test_states_that_no_round_needs_are_removed(tmp_path):
    state = MemberState(tmp_path, RUN)
    for number, update in enumerate(UPDATES):
        saved(state, update, float(number))
        state.settle(update)
    assert len(list(tmp_path.glob("local-*.tensors"))) == 1


def test_a_torn_status_names_the_file_and_what_to_do(tmp_path):
    saved(MemberState(tmp_path, RUN), UPDATES[0], 1.0)
    (tmp_path / "status.json").write_bytes(b'{"run":')
    with pytest.raises(CheckpointError, match=r"status\.json.*starts afresh"):
        MemberState(tmp_path, RUN)
