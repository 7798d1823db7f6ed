"""Merge rules: published vectors, laws, and that order, machine state and numbers do not matter."""

import random
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from updatelab import EMBEDDING, LAWS, MATRIX, MOMENT, ROWS, SCALE, accept, arrays, layout

from concord.base.errors import InternalError, UpdateError
from concord.base.tensors import TensorSpec
from concord.update.layout import COUNTS_NAME, Entry, Layout, Role
from concord.update.merge import Merge, MergeOptions
from concord.update.norm_control import NormOptions, norm_factors
from concord.update.sums import norm, require_ieee_arithmetic, tree_sum

EXACT = layout("fp32", "fp32")
NAMES = ["ada", "bo", "chi", "dan"]


def pair(folder, vectors, weights=None):
    """Updates of one body tensor of two values."""
    one = Layout((Entry(TensorSpec("w", (2,)), Role.BODY, "fp32"),))
    tensors = {
        name: {"w": np.array(vector, np.float32)}
        for name, vector in zip(NAMES, vectors, strict=False)
    }
    chosen = None if weights is None else dict(zip(NAMES, weights, strict=False))
    return accept(folder, one, tensors, chosen)


def members(folder, update_layout, count=3):
    return accept(
        folder, update_layout, {n: arrays(update_layout, i) for i, n in enumerate(NAMES[:count])}
    )


RDA = MergeOptions(rule="rda")


def test_rda_of_two_orthogonal_vectors_is_the_published_one(tmp_path):
    merged = Merge(pair(tmp_path, [(3, 0), (0, 1)]), RDA).tensor("w")
    np.testing.assert_allclose(merged, [1.4142, 1.4142], atol=5e-5)


def test_rda_of_two_to_one_weights_is_the_published_one(tmp_path):
    accepted = pair(tmp_path, [(3, 0), (0, 1)], [Fraction(2, 3), Fraction(1, 3)])
    merged = Merge(accepted, RDA).tensor("w")
    np.testing.assert_allclose(merged, [2.0870, 1.0435], atol=5e-5)


def test_rda_of_opposite_vectors_falls_back_to_the_mean(tmp_path):
    merged = Merge(pair(tmp_path, [(3, 0), (-1, 0)]), RDA).tensor("w")
    assert merged.tolist() == [1, 0]


def test_a_zero_vector_gives_rda_no_direction(tmp_path):
    merged = Merge(pair(tmp_path, [(4, 0), (0, 0)]), RDA).tensor("w")
    np.testing.assert_allclose(merged, [2, 0], rtol=1e-6)


def test_rda_keeps_the_norm_of_orthogonal_updates_which_the_mean_shrinks(tmp_path):
    size, count = 20_000, 4
    one = Layout((Entry(TensorSpec("w", (size,)), Role.BODY, "fp32"),))
    rng = np.random.default_rng(0)
    tensors = {n: {"w": rng.normal(size=size).astype(np.float32)} for n in NAMES}
    accepted = accept(tmp_path, one, tensors)
    length = np.sqrt(size)
    mean = np.linalg.norm(Merge(accepted, MergeOptions()).tensor("w"))
    assert mean == pytest.approx(length / np.sqrt(count), rel=0.02)
    assert np.linalg.norm(Merge(accepted, RDA).tensor("w")) == pytest.approx(length, rel=0.02)


def test_rda_is_for_the_body_alone(tmp_path):
    accepted = members(tmp_path, EXACT)
    mean, rda = Merge(accepted, MergeOptions()), Merge(accepted, RDA)
    for name in (EMBEDDING, SCALE, MOMENT, COUNTS_NAME):
        np.testing.assert_array_equal(mean.tensor(name), rda.tensor(name))
    assert not np.array_equal(mean.tensor(MATRIX), rda.tensor(MATRIX))


@pytest.mark.parametrize("rows", ["uniform", "token_counts"])
@pytest.mark.parametrize("control", ["none", "clip_to_median", "scale_to_median"])
def test_the_mean_of_one_member_is_its_update(tmp_path, rows, control):
    accepted = members(tmp_path, EXACT, 1)
    merge = Merge(accepted, MergeOptions(rows=rows, norms=NormOptions(control)))
    own = accepted[0].update
    for name in (MATRIX, SCALE, MOMENT):
        np.testing.assert_array_equal(merge.tensor(name), own.decode(name))
    met = own.decode(COUNTS_NAME) > 0 if rows == "token_counts" else np.ones(ROWS, bool)
    expected = own.decode(EMBEDDING) * met[:, None]
    np.testing.assert_allclose(merge.tensor(EMBEDDING), expected, rtol=1e-6)


def test_rda_of_one_member_is_its_update(tmp_path):
    accepted = members(tmp_path, EXACT, 1)
    expected = accepted[0].update.decode(MATRIX)
    np.testing.assert_allclose(Merge(accepted, RDA).tensor(MATRIX), expected, rtol=1e-6)


def test_the_mean_is_the_weighted_mean(tmp_path):
    weights = {"ada": Fraction(1, 2), "bo": Fraction(1, 3), "chi": Fraction(1, 6)}
    tensors = {name: arrays(EXACT, i) for i, name in enumerate(weights)}
    merged = Merge(accept(tmp_path, EXACT, tensors, weights), MergeOptions()).tensor(MATRIX)
    expected = sum(float(w) * tensors[n][MATRIX].astype(float) for n, w in weights.items())
    np.testing.assert_allclose(merged, expected, rtol=1e-5, atol=1e-10)


OPTIONS = st.builds(
    MergeOptions,
    rule=st.sampled_from(["mean", "rda"]),
    rows=st.sampled_from(["uniform", "token_counts"]),
    norms=st.builds(
        NormOptions,
        st.sampled_from(["none", "clip_to_median", "scale_to_median", "clip_groups"]),
    ),
)


@LAWS
@given(options=OPTIONS, codec=st.sampled_from(["fp32", "int4", "sparse"]), seed=st.integers())
def test_order_of_arrival_changes_no_bit(tmp_path_factory, options, codec, seed):
    accepted = members(tmp_path_factory.mktemp("order"), layout(codec), 4)
    merged = Merge(accepted, options)
    random.Random(seed).shuffle(accepted)
    shuffled = Merge(accepted, options)
    for entry in merged.layout:
        assert merged.tensor(entry.name).tobytes() == shuffled.tensor(entry.name).tobytes()


# --- rows by token counts ---------------------------------------------------------------------


def counted(folder, counts, width=3):
    """Members whose embedding update is constant: 1, 2, 3, …"""
    rows = len(counts[0])
    entries = (
        Entry(TensorSpec("embed_tokens.weight", (rows, width)), Role.EMBEDDING, "fp32"),
        Entry(TensorSpec("lm_head.weight", (rows + 1, width)), Role.EMBEDDING, "fp32"),
        Entry(TensorSpec(COUNTS_NAME, (rows,)), Role.COUNTS, "fp32"),
    )
    tensors = {}
    for number, row in enumerate(counts):
        value = np.float32(number + 1)
        tensors[NAMES[number]] = {
            "embed_tokens.weight": np.full((rows, width), value),
            "lm_head.weight": np.full((rows + 1, width), value),
            COUNTS_NAME: np.array(row, np.float32),
        }
    return accept(folder, Layout(entries), tensors)


ROWS_BY_COUNT = MergeOptions(rows="token_counts")


def test_a_row_that_one_member_met_is_that_members(tmp_path):
    accepted = counted(tmp_path, [[4, 0, 4, 0], [0, 4, 4, 0]])
    merged = Merge(accepted, ROWS_BY_COUNT).tensor("embed_tokens.weight")
    np.testing.assert_allclose(merged[:, 0], [1, 2, 1.5, 0])


def test_a_member_gains_no_weight_by_counting_more_tokens(tmp_path):
    (tmp_path / "once").mkdir()
    once = counted(tmp_path / "once", [[4, 0, 4, 0], [1, 3, 4, 0]])
    million = counted(tmp_path, [[4e6, 0, 4e6, 0], [1, 3, 4, 0]])
    np.testing.assert_array_equal(
        Merge(once, ROWS_BY_COUNT).tensor("embed_tokens.weight"),
        Merge(million, ROWS_BY_COUNT).tensor("embed_tokens.weight"),
    )


def test_a_matrix_of_other_rows_is_averaged(tmp_path):
    accepted = counted(tmp_path, [[4, 0, 4, 0], [0, 4, 4, 0]])
    np.testing.assert_allclose(Merge(accepted, ROWS_BY_COUNT).tensor("lm_head.weight"), 1.5)


def test_counting_nothing_at_all_moves_no_row(tmp_path):
    merged = Merge(counted(tmp_path, [[0, 0], [0, 0]]), ROWS_BY_COUNT)
    assert not merged.tensor("embed_tokens.weight").any()


@pytest.mark.parametrize("width", [1, 7, 300, 4096])
def test_rows_of_any_width_are_weighed_whole(tmp_path, width):
    accepted = counted(tmp_path, [[1] * 40, [1, 0] * 20], width)
    merged = Merge(accepted, ROWS_BY_COUNT).tensor("embed_tokens.weight")
    # shares 1/40 and 1/20 on even rows, 1/40 and 0 on odd ones
    np.testing.assert_allclose(merged[0::2], 5 / 3, rtol=1e-6)
    np.testing.assert_allclose(merged[1::2], 1, rtol=1e-6)


def test_rows_cannot_be_weighed_without_counts(tmp_path):
    with pytest.raises(UpdateError, match="token counts"):
        Merge(members(tmp_path, layout(counts=False)), ROWS_BY_COUNT)


# --- norm control -----------------------------------------------------------------------------


def test_norms_are_brought_to_the_median_or_only_down_to_it():
    norms = [1.0, 2.0, 8.0]
    assert norm_factors(norms, NormOptions()) == [1, 1, 1]
    assert norm_factors(norms, NormOptions("clip_to_median")) == [1, 1, 0.25]
    assert norm_factors(norms, NormOptions("scale_to_median")) == [2, 1, 0.25]
    assert norm_factors([0.0, 2.0], NormOptions("scale_to_median")) == [1, 0.5]


@pytest.mark.parametrize("rule", ["mean", "rda"])
def test_a_member_ten_times_louder_counts_like_the_others_after_scaling(tmp_path, rule):
    quiet = [arrays(EXACT, 0), arrays(EXACT, 1), arrays(EXACT, 2)]
    loud = [quiet[0], quiet[1], {n: a * 10 for n, a in quiet[2].items()}]
    options = MergeOptions(rule=rule, norms=NormOptions("scale_to_median"))
    results = []
    for number, tensors in enumerate((quiet, loud)):
        folder = tmp_path / str(number)
        folder.mkdir()
        accepted = accept(folder, EXACT, dict(zip(NAMES, tensors, strict=False)))
        results.append(Merge(accepted, options).tensor(MATRIX))
    ratio = np.linalg.norm(results[1]) / np.linalg.norm(results[0])
    np.testing.assert_allclose(results[1] / ratio, results[0], rtol=1e-3, atol=1e-9)
    assert ratio == pytest.approx(1, rel=0.05)


def test_state_is_averaged_as_it_is(tmp_path):
    accepted = members(tmp_path, EXACT)
    plain = Merge(accepted, MergeOptions()).tensor(MOMENT)
    scaled = Merge(accepted, MergeOptions(norms=NormOptions("scale_to_median"))).tensor(MOMENT)
    np.testing.assert_array_equal(plain, scaled)


# --- misuse and resources ---------------------------------------------------------------------


def test_weights_that_miss_one_are_a_defect(tmp_path):
    with pytest.raises(InternalError, match="add up"):
        Merge(pair(tmp_path, [(1, 1), (2, 2)], [Fraction(1, 2), Fraction(1, 3)]), MergeOptions())


def test_nothing_and_twice_the_same_are_defects(tmp_path):
    with pytest.raises(InternalError):
        Merge([], MergeOptions())
    one = pair(tmp_path, [(1, 1)], [Fraction(1, 2)])
    with pytest.raises(InternalError, match="twice"):
        Merge([*one, *one], MergeOptions())


@pytest.mark.parametrize("codec", ["int4", "sparse"])
@pytest.mark.parametrize("rule", ["mean", "rda"])
def test_memory_does_not_grow_with_the_number_of_members(tmp_path, codec, rule):
    size = 1 << 19
    one = Layout((Entry(TensorSpec("w", (size,)), Role.BODY, codec),))
    values = np.random.default_rng(0).normal(size=size).astype(np.float32)
    peaks = []
    for count in (4, 16):
        tensors = {f"m{i:02}": {"w": values} for i in range(count)}
        merge = Merge(accept(tmp_path, one, tensors), MergeOptions(rule=rule))
        tracemalloc.start()
        merge.tensor("w")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.02 + 20_000
    tensors_held = 1 if codec == "int4" else 2
    assert peaks[1] < 4 * size * tensors_held + 3_000_000


# --- sums -------------------------------------------------------------------------------------


@LAWS
@given(st.lists(st.integers(-(2**40), 2**40), max_size=300))
def test_a_tree_sum_of_integers_is_exact(numbers):
    assert tree_sum(np.array(numbers, np.float64)) == sum(numbers)


def test_a_norm_is_accurate_over_many_magnitudes():
    values = np.r_[np.full(100_000, 1e-4), 1e4].astype(np.float32)
    expected = np.sqrt(np.sum(values.astype(np.longdouble) ** 2))
    assert norm([values[:65536], values[65536:]]) == pytest.approx(float(expected), rel=1e-14)


def test_arithmetic_that_flushes_tiny_numbers_is_refused():
    require_ieee_arithmetic()
    if torch.set_flush_denormal(True):
        try:
            with pytest.raises(InternalError, match="flushes"):
                require_ieee_arithmetic()
        finally:
            torch.set_flush_denormal(False)
    require_ieee_arithmetic()
