"""A late update is turned towards the outer momentum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from concord.base.tensors import TensorSpec
from concord.update.late import CorrectedUpdate, corrected
from concord.update.layout import Entry, Layout, Role
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update

SOME = "sha256:" + "0" * 64
AHEAD = np.array([1.0, 0.0], np.float32)


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ((-2.0, 0.5), (-1.6049, 0.5)),  # against the momentum
        ((0.1, 1.0), (0.3679, 0.9352)),  # across it
        ((2.0, 0.5), (2.0, 0.5)),  # along it
        ((0.0, 0.0), (0.0, 0.0)),
    ],
)
def test_the_published_vectors_hold(delta, expected):
    found = corrected(np.array(delta, np.float32), AHEAD)
    assert found.tolist() == pytest.approx(expected, abs=5e-5)


def test_without_momentum_nothing_is_turned():
    delta = np.array([-2.0, 0.5], np.float32)
    assert corrected(delta, np.zeros(2, np.float32)) is delta


PAIR = st.integers(2, 40).flatmap(
    lambda size: st.tuples(*[arrays(np.float32, size, elements=st.floats(-100, 100, width=16))] * 2)
)


@settings(max_examples=200, deadline=None)
@given(pair=PAIR)
def test_it_is_turned_towards_the_momentum_and_never_grows(pair):
    delta, momentum = pair
    found = corrected(delta, momentum).astype(np.float64)
    before, towards = delta.astype(np.float64), momentum.astype(np.float64)
    length, strength = np.linalg.norm(before), np.linalg.norm(towards)
    if strength < 1e-3 or length < 1e-3:
        return
    assert np.linalg.norm(found) <= length * (1 + 1e-5)
    assert found @ towards >= before @ towards - 1e-4 * length * strength
    if 0 <= before @ towards / (length * strength) < 0.199:
        assert np.linalg.norm(found) == pytest.approx(length, rel=1e-4)


def test_the_update_that_enters_is_turned_tensor_by_tensor_whatever_the_windows(tmp_path):
    rng = np.random.default_rng(0)
    specs = {"a.weight": (300, 70), "b.weight": (40, 33), "second_moment/a.weight": (300, 70)}
    layout = Layout(
        tuple(
            Entry(TensorSpec(n, s), Role.STATE if "/" in n else Role.BODY, "fp32")
            for n, s in sorted(specs.items())
        )
    )
    values = {n: np.abs(rng.normal(size=s)).astype(np.float32) for n, s in specs.items()}
    momentum = {n: -0.1 * values[n] for n in ("a.weight", "b.weight")}
    path = tmp_path / "update"
    encode_update(path, layout, UpdateIdentity(SOME, 0, SOME, "chad"), values)
    late = CorrectedUpdate(UpdateFile(path, layout), momentum.get)
    for name in specs:
        expected = corrected(values[name], momentum[name]) if name in momentum else values[name]
        assert np.array_equal(late.decode(name), expected)
        parts = [part.copy() for part in late.windows(name, 4096)]
        assert np.array_equal(np.concatenate(parts), expected.reshape(-1))
        assert len(parts) == math.ceil(values[name].size / 4096)
