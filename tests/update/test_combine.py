"""A whole round: what the coordinator writes, every member and every stranger finds again."""

import os
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from updatelab import (
    EMBEDDING,
    MATRIX,
    MOMENT,
    SCALE,
    accept,
    arrays,
    base_file,
    identity,
    layout,
    without_counts,
)

from concord.base.digest import digest_file
from concord.base.errors import CheckpointError, RefusalReason, UpdateError, UpdateRefused
from concord.base.tensors import TensorFile, TensorSpec, write_tensors
from concord.update.codecs import CODECS
from concord.update.combine import RoundPaths, apply_step, combine_round
from concord.update.layout import Layout
from concord.update.merge import Merge, MergeOptions
from concord.update.norm_control import NormOptions
from concord.update.outer import OuterRule
from concord.update.payload import UpdateFile

UP = layout("int4")
DOWN = without_counts(UP)


@pytest.fixture
def base(tmp_path):
    return base_file(tmp_path / "base", UP)


@pytest.fixture
def accepted(tmp_path):
    return accept(
        tmp_path, UP, {name: arrays(UP, i) for i, name in enumerate(["ada", "bo", "chi"])}
    )


def combine(base, accepted, folder, **changes):
    folder.mkdir(exist_ok=True)
    options = {
        "outer_state": None,
        "options": MergeOptions(),
        "outer": OuterRule(),
        "rate": lambda entry: 1.0,
        "step_layout": DOWN,
        "identity": identity(None),
    }
    paths = RoundPaths(folder / "step", folder / "base", folder / "state")
    return paths, combine_round(base=base, accepted=accepted, paths=paths, **(options | changes))


def test_members_reach_the_coordinators_base(base, accepted, tmp_path):
    paths, result = combine(base, accepted, tmp_path / "out")
    step = UpdateFile(paths.step, DOWN, identity(None))
    assert apply_step(base, step, tmp_path / "mine") == result.base == digest_file(paths.base)
    assert result.step.digest == step.digest()
    assert result.outer_state is None and not paths.outer_state.exists()


def test_the_base_moves_by_rate_times_the_merged_update(base, accepted, tmp_path):
    """With an exact down link; the rate is each tensor's own."""
    exact = without_counts(layout("fp32", "fp32"))
    down = Layout((*(e for e in exact if e.name != SCALE), DOWN.by_name[SCALE]))
    rates = {EMBEDDING: 0.5, MATRIX: 2.0, SCALE: 1.0}
    paths, _ = combine(
        base, accepted, tmp_path / "out", step_layout=down, rate=lambda entry: rates[entry.name]
    )
    new, merge = TensorFile(paths.base), Merge(accepted, MergeOptions())
    for name in (EMBEDDING, MATRIX):
        expected = base[name] - merge.tensor(name) * np.float32(rates[name])
        np.testing.assert_array_equal(new[name], expected)
    np.testing.assert_array_equal(new[MOMENT], merge.tensor(MOMENT))


def test_shared_state_that_did_not_travel_stays(tmp_path, base):
    up = Layout(tuple(e for e in UP if e.name != MOMENT))
    accepted = accept(tmp_path, up, {"ada": arrays(UP, 1)})
    paths, _ = combine(base, accepted, tmp_path / "out", step_layout=without_counts(up))
    np.testing.assert_array_equal(TensorFile(paths.base)[MOMENT], base[MOMENT])


RULES = [OuterRule(), OuterRule(momentum=0.9), OuterRule("adam")]


@pytest.mark.parametrize("outer", RULES)
@pytest.mark.parametrize("codec", ["int4", "sparse_down"])
def test_a_stranger_recomputes_every_byte_in_any_order(base, accepted, tmp_path, outer, codec):
    down = without_counts(layout(codec))
    state, results = None, []
    for order in range(2):
        random.Random(order).shuffle(accepted)
        folder = tmp_path / f"{order}"
        _, first = combine(base, accepted, folder, outer=outer, step_layout=down)
        paths, _ = combine(base, accepted, folder, outer=outer, step_layout=down)
        state = TensorFile(paths.outer_state) if paths.outer_state.exists() else None
        second_folder = tmp_path / f"{order}-next"
        _, second = combine(
            base, accepted, second_folder, outer=outer, outer_state=state, step_layout=down
        )
        results.append((first, second))
    assert results[0] == results[1]


def test_outer_momentum_is_carried_from_round_to_round(base, accepted, tmp_path):
    outer = OuterRule(momentum=0.9)
    down = without_counts(layout("fp32"))
    paths, _ = combine(base, accepted, tmp_path / "1", outer=outer, step_layout=down)
    state = TensorFile(paths.outer_state)
    assert [spec.name for spec in state.specs] == [
        f"{name}#momentum" for name in sorted([EMBEDDING, MATRIX, SCALE])
    ]
    combine(base, accepted, tmp_path / "2", outer=outer, outer_state=state, step_layout=down)
    steps = [UpdateFile(tmp_path / n / "step", down).decode(MATRIX) for n in "12"]
    np.testing.assert_allclose(
        steps[0], Merge(accepted, MergeOptions()).tensor(MATRIX) * 1.9, rtol=1e-5
    )
    np.testing.assert_allclose(steps[1], steps[0] / 1.9 * 2.71, rtol=1e-5, atol=1e-9)


def test_what_a_sparse_down_link_left_out_is_sent_later(base, accepted, tmp_path):
    down = without_counts(layout("sparse_down"))
    state, sent = None, 0
    for number in range(40):
        paths, _ = combine(
            base, accepted, tmp_path / str(number), outer_state=state, step_layout=down
        )
        state = TensorFile(paths.outer_state)
        sent = sent + UpdateFile(paths.step, down).decode(MATRIX)
    wanted = Merge(accepted, MergeOptions()).tensor(MATRIX) * 40
    np.testing.assert_allclose(sent + state[f"{MATRIX}#residual"], wanted, atol=1e-6)
    assert np.linalg.norm(sent - wanted) < 0.5 * np.linalg.norm(wanted)


def test_a_step_is_no_members_update(base, accepted, tmp_path):
    paths, _ = combine(base, accepted, tmp_path / "out")
    with pytest.raises(UpdateRefused) as refused:
        UpdateFile(paths.step, DOWN, identity("ada"))
    assert refused.value.reason is RefusalReason.NOT_IN_ROSTER


def test_a_step_that_is_not_finite_is_an_error_and_writes_nothing(base, accepted, tmp_path):
    with pytest.raises(UpdateError, match="NaN"):
        combine(base, accepted, tmp_path / "out", rate=lambda entry: 1e38)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_outer_state_of_another_run_is_refused(base, accepted, tmp_path):
    write_tensors(tmp_path / "state", [TensorSpec("x#momentum", (1,))], [np.zeros(1, np.float32)])
    with pytest.raises(CheckpointError, match="another run"):
        combine(
            base,
            accepted,
            tmp_path / "out",
            outer=OuterRule(momentum=0.9),
            outer_state=TensorFile(tmp_path / "state"),
        )


@pytest.mark.parametrize(
    "wrong",
    [
        Layout(DOWN.entries[1:]),
        without_counts(layout(matrix=(50, 96))),
        UP,
    ],
)
def test_a_step_layout_that_does_not_match_is_refused(base, accepted, tmp_path, wrong):
    with pytest.raises(UpdateError):
        combine(base, accepted, tmp_path / "out", step_layout=wrong)


def test_a_member_cannot_apply_a_step_to_another_base(base, accepted, tmp_path):
    paths, _ = combine(base, accepted, tmp_path / "out")
    other = base_file(tmp_path / "other", layout(matrix=(50, 96)))
    with pytest.raises(UpdateError, match="this base"):
        apply_step(other, UpdateFile(paths.step, DOWN), tmp_path / "mine")


def test_a_year_of_rounds_with_an_int4_down_link_stays_bit_identical(base, accepted, tmp_path):
    mine, current = base, base
    for number in range(8):
        paths, result = combine(current, accepted, tmp_path / f"c{number}")
        own = tmp_path / f"m{number}"
        assert apply_step(mine, UpdateFile(paths.step, DOWN), own) == result.base
        current, mine = TensorFile(paths.base), TensorFile(own)


def test_a_machine_without_wide_vectors_gets_the_same_bytes(tmp_path):
    """numpy without its wide vector code, in a process of its own, stands for the machine."""
    wide = "AVX2 AVX512F AVX512_SKX AVX512_ICL AVX512_SPR X86_V3 X86_V4 ASIMDHP SVE"
    script = (
        "import sys, pathlib, tempfile; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np\n"
        "from test_combine import one_round_digest\n"
        "print(one_round_digest(pathlib.Path(tempfile.mkdtemp())))"
    )
    folder = str(Path(__file__).parent)
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": wide, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", script, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == one_round_digest(tmp_path)


def one_round_digest(folder):
    """Digest of base and state after one round that uses every rule."""
    up = layout("sparse", matrix=(300, 250))
    weights = {"ada": Fraction(1, 3), "bo": Fraction(2, 3)}
    accepted = accept(folder, up, {"ada": arrays(up, 1), "bo": arrays(up, 2)}, weights)
    _, result = combine(
        base_file(folder / "base", up),
        accepted,
        folder / "out",
        options=MergeOptions("rda", "token_counts", NormOptions("scale_to_median")),
        outer=OuterRule("adam"),
        step_layout=without_counts(layout("sparse_down", "log4", matrix=(300, 250))),
    )
    return f"{result.step.digest} {result.base} {result.outer_state}"


def test_every_codec_can_be_used_up_and_down(base, tmp_path):
    for codec in sorted(CODECS):
        if codec in ("log4", "log8"):
            continue  # for what is never negative
        up = layout(codec)
        folder = tmp_path / codec
        folder.mkdir()
        accepted = accept(folder, up, {"ada": arrays(up, 1)})
        paths, result = combine(base, accepted, folder / "out", step_layout=without_counts(up))
        assert digest_file(paths.base) == result.base
