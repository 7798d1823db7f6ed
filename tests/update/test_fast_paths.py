"""What is done quickly comes to the bits of the plain formula: norms, stacks, outer step, codes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from updatelab import LAWS, accept, arrays, layout

from concord.base.errors import InternalError, UpdateRefused
from concord.update.codecs import CODECS, WINDOW
from concord.update.gauge import Gauge
from concord.update.merge import Merge, MergeOptions
from concord.update.outer import OuterRule, outer_step
from concord.update.stack import Stack, measure
from concord.update.sums import norm, tree_sum

SIZES = st.sampled_from([1, 2, 3, 255, 256, 1023, 1024, 1025, 2049, 36864, WINDOW, WINDOW + 1])


def values_of(size, seed):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=size) * 10 ** rng.uniform(-30, 10, size)).astype(np.float32)


def plain_norm(windows):
    total = 0.0
    for window in windows:
        total += tree_sum(window.astype(np.float64) ** 2)
    return math.sqrt(total)


@LAWS
@given(size=SIZES | st.integers(1, 40 * WINDOW // 16), seed=st.integers(0, 99))
def test_a_norm_is_the_sum_of_its_windows_halved(size, seed):
    values = values_of(size, seed)
    windows = [values[start : start + WINDOW] for start in range(0, size, WINDOW)]
    assert norm(windows) == plain_norm(windows)


@LAWS
@given(
    size=st.sampled_from([2, 255, 256, 257, 512, 3072, 40000]),
    bits=st.sampled_from([4, 8]),
    seed=st.integers(0, 99),
)
def test_codes_are_those_of_the_formula(size, bits, seed):
    values, most = values_of(size, seed), np.float32(2 ** (bits - 1) - 1)
    decoded = CODECS[f"int{bits}"].decode(CODECS[f"int{bits}"].encode(values), size)
    for start in range(0, size, 256):
        block = values[start : start + 256]
        scale = np.abs(block).max() / most
        codes = np.rint(block / scale) if scale > 0 else np.zeros_like(block)
        expected = np.clip(codes, -most, most) * scale
        np.testing.assert_array_equal(decoded[start : start + 256], expected)


@LAWS
@given(size=SIZES, seed=st.integers(0, 99), has_state=st.booleans(), in_place=st.booleans())
def test_outer_momentum_is_that_of_the_formula(size, seed, has_state, in_place):
    merged, old = values_of(size, seed), values_of(size, seed + 1)
    mu, rate = np.float32(0.9), np.float32(0.7)
    buffer = (old if has_state else np.zeros_like(old)) * mu + merged
    expected = (merged + buffer * mu) * rate
    step, state = outer_step(
        OuterRule(momentum=0.9),
        merged,
        {"momentum": old} if has_state else {},
        rate=0.7,
        out=merged if in_place else None,
    )
    assert step.tobytes() == expected.tobytes()
    assert state["momentum"].tobytes() == buffer.tobytes()


@pytest.mark.parametrize("codec", ["fp32", "bf16", "int8", "int4", "sparse"])
@pytest.mark.parametrize("matrix", [(96, 50), (16, 16), (64, 64), (3, 1), (270, 256)])
@pytest.mark.parametrize("members", [1, 2, 7])
def test_updates_come_out_of_a_stack_as_they_do_alone(tmp_path, codec, matrix, members):
    up = layout(codec, matrix=matrix)
    names = [f"m{number}" for number in range(members)]
    accepted = accept(tmp_path, up, {name: arrays(up, n) for n, name in enumerate(names)})
    updates = [one.update for one in accepted]
    gauge = Gauge(up, members)
    stack = Stack(updates, gauge)
    for entry in up:
        found = np.full((members, entry.spec.size), np.nan, np.float32)
        for first, start, values_MN in stack.parts(entry):
            rows, length = values_MN.shape
            found[first : first + rows, start : start + length] = values_MN
        for row, update in zip(found, updates, strict=True):
            assert row.tobytes() == update.decode(entry.name).tobytes()
    for number, update in enumerate(updates):
        assert gauge.norms(number) == measure(update)


def test_a_gauge_that_did_not_see_all_says_nothing(tmp_path):
    up = layout()
    accepted = accept(tmp_path, up, {"ada": arrays(up, 1), "bo": arrays(up, 2)})
    gauge = Gauge(up, 2)
    merge = Merge(accepted, MergeOptions(), gauge)
    for entry in up.entries[1:]:
        merge.tensor(entry.name)
    with pytest.raises(InternalError, match="as a whole"):
        gauge.norms(0)


def test_a_fault_in_one_of_a_stack_names_the_tensor(tmp_path):
    up = layout("fp32", "fp32")
    tensors = arrays(up, 1)
    accepted = accept(tmp_path, up, {"ada": tensors, "bo": arrays(up, 2)})
    data = bytearray((tmp_path / "bo.update").read_bytes())
    begin = 12 + int.from_bytes(data[8:12], "little")
    data[begin : begin + 4] = np.float32(np.nan).tobytes()
    (tmp_path / "bo.update").write_bytes(data)
    bad = type(accepted[1].update)(tmp_path / "bo.update", up)
    first = up.entries[0]
    with pytest.raises(UpdateRefused) as refused:
        list(Stack([accepted[0].update, bad]).parts(first))
    assert refused.value.where == first.name
