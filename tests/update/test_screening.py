"""Screening, one test per reason: that update is refused, with its reason, and nothing else."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from updatelab import (
    BASE,
    EMBEDDING,
    LAWS,
    MATRIX,
    MOMENT,
    RUN,
    SCALE,
    arrays,
    identity,
    layout,
    write_update,
)

from concord.base.digest import digest_bytes
from concord.base.errors import DocumentError, RefusalReason, UpdateRefused
from concord.update.layout import COUNTS_NAME
from concord.update.payload import UpdateFile
from concord.update.screening import Expectation, NormBounds, NormHistory, screen
from concord.update.stack import measure

LAYOUT = layout("fp32", "fp32")
TENSORS = arrays(LAYOUT, 5)
EXPECTED = Expectation(run=RUN, round=3, base=BASE, roster=frozenset({"ada", "bo"}))
NORM = float(
    np.sqrt(sum((TENSORS[n].astype(float) ** 2).sum() for n in (EMBEDDING, MATRIX, SCALE)))
)


@pytest.fixture
def update(tmp_path):
    return write_update(tmp_path / "u", LAYOUT, TENSORS)


def screened(update, **changes):
    options = {
        "sender": "ada",
        "expected": EXPECTED,
        "accepted": set(),
        "history": NormHistory(),
        "bounds": NormBounds(),
        "norm_scale": 1.0,
    }
    return screen(update, **(options | changes))


def refusal_of(update, **changes):
    with pytest.raises(UpdateRefused) as refused:
        screened(update, **changes)
    return refused.value.reason


def test_an_honest_update_passes_and_is_measured(update):
    norms = screened(update)
    assert norms.total == pytest.approx(NORM, rel=1e-5)  # norm.weight is bf16
    assert sorted(norms.tensors) == sorted([EMBEDDING, MATRIX, "norm.weight"])
    expected = np.linalg.norm(TENSORS[MATRIX].astype(float))
    assert norms.tensors[MATRIX] == pytest.approx(expected, rel=1e-12)


def test_a_stranger_is_refused(update):
    assert refusal_of(update, sender="eve") is RefusalReason.NOT_IN_ROSTER


def test_a_member_that_speaks_for_another_is_refused(update):
    assert refusal_of(update, sender="bo") is RefusalReason.NOT_IN_ROSTER


def test_a_second_update_of_one_member_is_refused(update):
    assert refusal_of(update, accepted={"ada"}) is RefusalReason.DUPLICATE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"run": digest_bytes(b"x")}, RefusalReason.WRONG_RUN),
        ({"round": 4}, RefusalReason.WRONG_ROUND),
        ({"base": digest_bytes(b"x")}, RefusalReason.WRONG_BASE),
    ],
)
def test_an_update_of_another_run_round_or_base_is_refused(update, change, reason):
    assert refusal_of(update, expected=replace(EXPECTED, **change)) is reason


@pytest.mark.parametrize("name", [EMBEDDING, MATRIX, MOMENT, COUNTS_NAME])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_wherever_it_hides(tmp_path, name, value):
    write_update(tmp_path / "u", LAYOUT, TENSORS)
    data = bytearray((tmp_path / "u").read_bytes())
    place = data.index(TENSORS[name].tobytes()) + 4 * (TENSORS[name].size - 1)
    data[place : place + 4] = struct.pack("<f", value)
    assert refusal_of(UpdateFile(data, LAYOUT)) is RefusalReason.NON_FINITE


@pytest.mark.parametrize("name", [MOMENT, COUNTS_NAME])
def test_a_negative_second_moment_or_count_is_refused(tmp_path, name):
    tensors = TENSORS | {name: -np.ones_like(TENSORS[name])}
    assert refusal_of(write_update(tmp_path / "u", LAYOUT, tensors)) is RefusalReason.MALFORMED


def test_more_tokens_than_agreed_are_refused(update):
    counted = int(TENSORS[COUNTS_NAME].sum())
    screened(update, expected=replace(EXPECTED, max_tokens=counted))
    fewer = replace(EXPECTED, max_tokens=counted - 1)
    assert refusal_of(update, expected=fewer) is RefusalReason.TOO_LARGE


HISTORY = NormHistory((NORM, NORM, NORM))


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_a_norm_far_from_the_running_median_is_refused(update, factor):
    history = NormHistory(tuple(n * factor for n in HISTORY.medians))
    assert refusal_of(update, history=history) is RefusalReason.NORM_OUT_OF_BOUNDS


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.5])
def test_a_norm_near_the_running_median_passes(update, factor):
    screened(update, history=NormHistory(tuple(n * factor for n in HISTORY.medians)))


def test_norms_are_not_bounded_before_there_is_a_history(update):
    screened(update, history=NormHistory((1e9, 1e9)))


def test_an_update_that_shrinks_with_the_learning_rate_passes(tmp_path):
    """At the end of a decay the rate, and every honest norm, is a tenth of what it was."""
    small = {name: array / 10 for name, array in TENSORS.items()}
    update = write_update(tmp_path / "u", LAYOUT, small)
    history = NormHistory().extended([NORM], norm_scale=20).extended([NORM], norm_scale=20)
    history = history.extended([NORM], norm_scale=20)
    screened(update, history=history, norm_scale=2)
    assert refusal_of(update, history=history, norm_scale=20) is RefusalReason.NORM_OUT_OF_BOUNDS


def test_history_keeps_the_last_medians_only():
    history = NormHistory()
    for number in range(1, 30):
        history = history.extended([number, number, 1e9], norm_scale=1)
    assert history.medians == (25, 26, 27, 28, 29)
    assert history.median == 27


def test_one_hostile_norm_among_three_does_not_move_the_history():
    assert NormHistory().extended([1.0, 1.1, 1e12], norm_scale=1).medians == (1.1,)


def test_a_round_without_updates_leaves_the_history():
    assert HISTORY.extended([], norm_scale=1) is HISTORY


def test_a_history_survives_saving():
    assert NormHistory.from_record(HISTORY.to_record()) == HISTORY


@pytest.mark.parametrize(
    "value",
    [
        None,
        "1",
        [1.0],
        {1: [1.0]},
        {"total": 1.0},
        *({"total": one} for one in ([float("nan")], [-1.0], ["1"], [True], [1.0] * 6)),
        {"body": [-1.0]},
    ],
)
def test_a_history_of_another_form_is_refused(value):
    with pytest.raises(DocumentError):
        NormHistory.from_record(value)


@LAWS
@given(st.integers(0, 100_000), st.integers(0, 9))
def test_norms_do_not_depend_on_how_values_are_split_or_laid_out(tmp_path_factory, start, seed):
    """A view with strides and a contiguous copy give the same bits."""
    from concord.update.codecs import WINDOW
    from concord.update.sums import norm

    values = np.random.default_rng(seed).normal(size=2 * 70_001).astype(np.float32)
    strided, copy = values[::2], values[::2].copy()
    windows = [[a[i : i + WINDOW] for i in range(0, a.size, WINDOW)] for a in (strided, copy)]
    assert norm(windows[0]) == norm(windows[1])


def test_measuring_twice_gives_the_same_bits(update):
    assert measure(update) == measure(update)


def test_the_same_identity_can_be_expected_when_opening(tmp_path):
    update = write_update(tmp_path / "u", LAYOUT, TENSORS)
    assert UpdateFile(tmp_path / "u", LAYOUT, identity()).identity == update.identity
