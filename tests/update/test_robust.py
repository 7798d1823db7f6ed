"""Robust rules against plain second implementations, and their laws."""

import importlib
import importlib.util
import math
import random
import statistics
import sys
import tracemalloc
import types
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from updatelab import LAWS, MOMENT, accept, arrays, layout

from concord.base.errors import InternalError
from concord.base.tensors import TensorSpec
from concord.charter import run_sections
from concord.update import robust
from concord.update.layout import Entry, Layout, Role
from concord.update.merge import Merge, MergeOptions, MergeRule
from concord.update.robust import BY_COEFFICIENTS, BY_COORDINATE, ROBUST, inner_products

LAYOUT = layout("fp32", "fp32", counts=False)
MEMBERS = [f"m{number}" for number in range(7)]
RULES = sorted(ROBUST)


def drawn(seed, count=7, size=400):
    """Updates of one body tensor: mostly alike, each with its own part."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=size)
    own = rng.normal(size=(count, size)) * rng.uniform(0.3, 2, size=(count, 1))
    return (shared + own).astype(np.float32)


def merged(folder, values_MN, rule, **options):
    folder.mkdir(exist_ok=True)
    one = Layout((Entry(TensorSpec("w", values_MN.shape[1:]), Role.BODY, "fp32"),))
    tensors = {f"m{i}": {"w": values} for i, values in enumerate(values_MN)}
    return Merge(accept(folder, one, tensors), MergeOptions(rule, **options)).tensor("w")


# --- second implementations, from the papers, on whole vectors ----------------------------------


def by_nearest(x, f):
    squares = ((x[:, None] - x[None]) ** 2).sum(-1)
    return np.sort(squares, 1)[:, 1 : len(x) - f].sum(1)


def trim(x, f):
    return np.sort(x, 0)[f : len(x) - f].mean(0)


def near_means(x, f):
    distances = np.linalg.norm(x[:, None] - x[None], axis=-1)
    return np.stack([x[np.argsort(row, kind="stable")[: len(x) - f]].mean(0) for row in distances])


def weiszfeld(x, _):
    z = np.zeros(x.shape[1])
    for _step in range(robust.WEISZFELD_STEPS):
        pulls = 1 / np.linalg.norm(x - z, axis=1)
        z = (pulls[:, None] * x).sum(0) / pulls.sum()
    return z


def clipped_around(x, _):
    z = np.zeros(x.shape[1])
    for _step in range(robust.CLIPPING_STEPS):
        distances = np.linalg.norm(x - z, axis=1)
        factors = np.minimum(1, statistics.median_low(distances) / distances)
        z = z + ((x - z) * factors[:, None]).mean(0)
    return z


REFERENCE = {
    "coordinate_median": lambda x, f: np.median(x, 0),
    "trimmed_mean": trim,
    "krum": lambda x, f: x[np.argmin(by_nearest(x, f))],
    "multi_krum": lambda x, f: x[np.argsort(by_nearest(x, f))[: len(x) - f]].mean(0),
    "nnm_trimmed_mean": lambda x, f: trim(near_means(x, f), f),
    "geometric_median": weiszfeld,
    "centred_clipping": clipped_around,
}


@LAWS
@given(
    rule=st.sampled_from(RULES), seed=st.integers(0, 10**6), hostile=st.integers(1, 3),
)  # fmt: skip
def test_each_rule_is_the_one_of_its_paper(tmp_path_factory, rule, seed, hostile):
    values = drawn(seed)
    found = merged(tmp_path_factory.mktemp("rule"), values, rule, hostile=hostile)
    expected = REFERENCE[rule](values.astype(np.float64), hostile)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_each_rule_is_the_one_of_byzfl(tmp_path, monkeypatch):
    """Where it is installed (`pip install --no-deps byzfl==0.0.11`); its experiments stay out."""
    spec = importlib.util.find_spec("byzfl")
    if spec is None:
        pytest.skip("byzfl is not installed")
    bare = types.ModuleType("byzfl")
    bare.__path__ = list(spec.submodule_search_locations)
    monkeypatch.setitem(sys.modules, "byzfl", bare)
    byzfl = importlib.import_module("byzfl.aggregators.aggregators")
    before = importlib.import_module("byzfl.aggregators.preaggregators")
    values, f = drawn(3), 2
    exact = values.astype(np.float64)
    gram = inner_products(iter([values]), len(values)).tolist()
    theirs = {
        "coordinate_median": byzfl.Median()(exact),
        "trimmed_mean": byzfl.TrMean(f=f)(exact),
        "krum": byzfl.Krum(f=f)(exact),
        "multi_krum": byzfl.MultiKrum(f=f)(exact),
        "nnm_trimmed_mean": byzfl.TrMean(f=f)(before.NNM(f=f)(exact)),
    }
    for rule, expected in theirs.items():
        found = merged(tmp_path / rule, values, rule, hostile=f)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    shares = robust.geometric_median(gram, steps=3, smallest=0.1)
    np.testing.assert_allclose(shares @ exact, byzfl.GeometricMedian(nu=0.1, T=3)(exact), rtol=1e-6)
    shares = robust.centred_clipping(gram, steps=2, tau=5.0)
    np.testing.assert_allclose(
        shares @ exact, byzfl.CenteredClipping(L=2, tau=5.0)(exact), rtol=1e-6
    )


# --- laws ---------------------------------------------------------------------------------------


@LAWS
@given(rule=st.sampled_from(RULES), codec=st.sampled_from(["fp32", "int4"]), seed=st.integers())
def test_order_of_arrival_changes_no_bit(tmp_path_factory, rule, codec, seed):
    made = layout(codec, "fp32", counts=False)
    tensors = {name: arrays(made, number) for number, name in enumerate(MEMBERS[:5])}
    accepted = accept(tmp_path_factory.mktemp("order"), made, tensors)
    before = Merge(accepted, MergeOptions(rule))
    random.Random(seed).shuffle(accepted)
    after = Merge(accepted, MergeOptions(rule))
    for entry in made:
        assert before.tensor(entry.name).tobytes() == after.tensor(entry.name).tobytes()


@pytest.mark.parametrize("rule", RULES)
def test_equal_updates_come_out_as_they_are(tmp_path, rule):
    values = np.repeat(drawn(1)[:1], 5, axis=0)
    np.testing.assert_allclose(merged(tmp_path, values, rule), values[0], rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_zero_updates_come_out_as_zero(tmp_path, rule):
    assert not merged(tmp_path, np.zeros((5, 300), np.float32), rule).any()


@pytest.mark.parametrize("rule", RULES)
def test_one_update_a_million_times_too_long_moves_it_little(tmp_path, rule):
    values = drawn(2)
    honest = values[1:].mean(0)
    values[0] *= 1e6
    found = merged(tmp_path, values, rule)
    assert np.linalg.norm(found - honest) < 3 * np.linalg.norm(honest)


@pytest.mark.parametrize("rule", RULES)
def test_state_stays_a_mean_of_states(tmp_path, rule):
    """A second moment is no difference: what shrinks differences must not shrink it."""
    tensors = {name: arrays(LAYOUT, number) for number, name in enumerate(MEMBERS[:5])}
    for made in tensors.values():
        made[MOMENT] = np.full_like(made[MOMENT], 0.5)
    found = Merge(accept(tmp_path, LAYOUT, tensors), MergeOptions(rule)).tensor(MOMENT)
    np.testing.assert_allclose(found, 0.5, rtol=1e-6)


def test_a_row_that_one_member_trains_is_lost_to_the_median_and_not_to_the_mean(tmp_path):
    """What the documents warn of: a rule that asks the majority deletes who is alone."""
    values = np.zeros((5, 10), np.float32)
    values[0] = 1.0
    for rule in ("coordinate_median", "trimmed_mean", "nnm_trimmed_mean", "krum"):
        assert not merged(tmp_path / rule, values, rule).any()
    assert merged(tmp_path / "mean", values, "mean").all()
    assert merged(tmp_path / "centred", values, "centred_clipping").max() < 0.2


@pytest.mark.parametrize("rule", RULES)
def test_too_few_updates_are_a_defect(tmp_path, rule):
    with pytest.raises(InternalError, match="too few"):
        merged(tmp_path, drawn(0, count=4), rule, hostile=2)


@LAWS
@given(size=st.integers(1, 3000), seed=st.integers(0, 99))
def test_inner_products_are_accurate_and_symmetric(size, seed):
    values = np.random.default_rng(seed).normal(size=(4, size)).astype(np.float32)
    windows = [values[:, :1024], values[:, 1024:2048], values[:, 2048:]]
    gram = inner_products((w for w in windows if w.size), 4)
    wide = values.astype(np.longdouble)
    np.testing.assert_allclose(gram, (wide @ wide.T).astype(float), rtol=1e-12, atol=1e-12)
    assert (gram == gram.T).all()


def test_shares_of_a_geometric_median_add_up_to_one():
    gram = inner_products(iter([drawn(5)]), 7).tolist()
    assert math.isclose(math.fsum(robust.geometric_median(gram)), 1.0)


@pytest.mark.parametrize("rule", ["trimmed_mean", "geometric_median"])
def test_memory_is_one_tensor_and_a_window_of_each_member(tmp_path, rule):
    size, window, count = 1 << 19, 1 << 16, 8
    one = Layout((Entry(TensorSpec("w", (size,)), Role.BODY, "int4"),))
    values = np.random.default_rng(0).normal(size=size).astype(np.float32)
    tensors = {f"m{i}": {"w": values} for i in range(count)}
    merge = Merge(accept(tmp_path, one, tensors), MergeOptions(rule))
    tracemalloc.start()
    merge.tensor("w")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * size + 40 * window * count


def test_every_rule_is_of_one_kind():
    assert not BY_COEFFICIENTS.keys() & BY_COORDINATE.keys()
    assert set(get_args(MergeRule)) == {"mean", "rda"} | ROBUST
    assert get_args(MergeRule) == get_args(run_sections.MergeRule), (
        "a document may ask for what there is"
    )
