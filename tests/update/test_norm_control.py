"""One-sided clipping per group of tensors, to a running median."""

import numpy as np
import pytest
from updatelab import EMBEDDING, MATRIX, MOMENT, SCALE, accept, arrays, layout

from concord.update.merge import Merge, MergeOptions
from concord.update.norm_control import STATE_RATIO, NormFactors, NormOptions
from concord.update.screening import NormHistory

LAYOUT = layout("fp32", "fp32", counts=False)
NAMES = ["ada", "bo", "chi", "dan", "eve"]
CLIP = NormOptions("clip_groups", 1.5)


def members(folder, change=lambda name, tensor: tensor, count=5):
    """Updates of equal norms; the last member's are changed."""
    tensors = {name: dict(arrays(LAYOUT, number)) for number, name in enumerate(NAMES[:count])}
    last = tensors[NAMES[count - 1]]
    last |= {name: change(name, tensor) for name, tensor in last.items()}
    return accept(folder, LAYOUT, tensors)


def factors(accepted, options=CLIP):
    made = NormFactors([one.norms for one in accepted], options)
    return {entry.name: made.of(entry) for entry in LAYOUT}, made


def test_honest_updates_are_left_as_they_are_to_the_last_bit(tmp_path):
    accepted = members(tmp_path)
    found, made = factors(accepted)
    assert made.change_nothing
    assert all(one == [1.0] * 5 for one in found.values())
    plain, clipped = Merge(accepted, MergeOptions()), Merge(accepted, MergeOptions(norms=CLIP))
    for entry in LAYOUT:
        assert plain.tensor(entry.name).tobytes() == clipped.tensor(entry.name).tobytes()


@pytest.mark.parametrize("loud", [EMBEDDING, MATRIX, SCALE])
def test_only_the_group_that_is_too_loud_is_clipped(tmp_path, loud):
    accepted = members(tmp_path, lambda name, t: t * (1000 if name == loud else 1))
    found, made = factors(accepted)
    assert not made.change_nothing
    for name, one in found.items():
        assert one[:4] == [1.0] * 4
        assert (one[4] < 0.01) == (name == loud)


def test_the_bound_is_the_ratio_times_the_running_median(tmp_path):
    accepted = members(tmp_path, lambda name, t: t * 3)
    group = accepted[4].norms.groups["body"]
    found, _ = factors(accepted, NormOptions("clip_groups", 2.0, {"body": group / 5}))
    assert found[MATRIX][4] == pytest.approx(2 / 5)
    assert found[MATRIX][0] == 1.0


def test_a_quiet_member_is_not_made_loud(tmp_path):
    accepted = members(tmp_path, lambda name, t: t / 1000)
    assert factors(accepted)[1].change_nothing


def test_a_loud_majority_in_one_round_does_not_move_the_running_median(tmp_path):
    accepted = members(tmp_path)
    medians = {group: norm / 10 for group, norm in accepted[0].norms.groups.items()}
    found, _ = factors(accepted, NormOptions("clip_groups", 1.0, medians))
    assert max(found[MATRIX]) < 0.2


def test_state_that_would_stop_all_training_is_clipped_too(tmp_path):
    """A second moment a million times too large would shrink everybody's steps a thousandfold."""
    accepted = members(tmp_path, lambda name, t: t * (1e6 if name == MOMENT else 1))
    found, _ = factors(accepted)
    assert found[MOMENT][4] == pytest.approx(STATE_RATIO / 1e6, rel=0.1)
    plain = Merge(members(tmp_path), MergeOptions()).tensor(MOMENT)
    accepted = members(tmp_path, lambda name, t: t * (1e6 if name == MOMENT else 1))
    clipped = Merge(accepted, MergeOptions(norms=CLIP)).tensor(MOMENT)
    assert clipped.max() < 3 * plain.max()


def test_the_influence_of_one_member_is_bounded_whatever_it_sends(tmp_path):
    """Swapping one update moves the merge by at most twice its weight times the bound."""
    moved = []
    for number, change in enumerate((lambda n, t: t, lambda n, t: t if n == MOMENT else t * -1e6)):
        folder = tmp_path / str(number)
        folder.mkdir()
        accepted = members(folder, change)
        moved.append(Merge(accepted, MergeOptions(norms=CLIP)).tensor(MATRIX))
        bound = 1.5 * sorted(one.norms.groups["body"] for one in accepted)[2]
    assert np.linalg.norm(moved[1] - moved[0]) <= 2 * bound / 5 * 1.001


def test_groups_have_histories_of_their_own():
    history = NormHistory()
    for number in range(4):
        groups = {"body": [1.0, 2.0, 3.0, 9e9], "vector": [0.1, 0.1, 0.2, 0.3]}
        history = history.extended([1.0], norm_scale=2.0, groups=groups)
        assert (history.group_median("body") is None) == (number < 2)
    assert history.group_median("body") == 1.0  # the lower of the middle two, per unit of rate
    assert history.group_median("embedding") is None
    assert NormHistory.from_record(history.to_record()) == history
