"""The sparse codec: which values travel, what they become, how places are written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from updatelab import LAWS

from concord.base.errors import RefusalReason, UpdateError, UpdateRefused
from concord.update.codecs import CODECS
from concord.update.feedback import ErrorFeedback

SPARSE = CODECS["sparse"]


def normal(size, seed=0):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def decoded_of(values, codec=SPARSE):
    return codec.decode(codec.encode(values), values.size)


def places_by_sorting(values):
    """The definition: per chunk, by magnitude, of equals the lower index."""
    places = []
    for start in range(0, values.size, 4096):
        chunk = np.abs(values[start : start + 4096])
        kept = -(-chunk.size * 64 // 4096)
        order = sorted(range(chunk.size), key=lambda i, chunk=chunk: (-chunk[i], i))
        places += sorted(start + i for i in order[:kept])
    return places


@LAWS
@given(
    size=st.sampled_from([1, 63, 64, 65, 4096, 4097, 70000]),
    seed=st.integers(0, 9),
    grain=st.sampled_from([1e-9, 0.3, 1.0]),
)
def test_the_largest_of_each_chunk_travel_and_of_equals_the_first(size, seed, grain):
    values = (np.round(normal(size, seed) / grain) * grain + np.float32(0)).astype(np.float32)
    values += np.where(values >= 0, 9, -9).astype(np.float32)  # no bin's mean is 0
    assert np.flatnonzero(decoded_of(values)).tolist() == places_by_sorting(values)


def test_each_value_becomes_the_mean_of_its_bin():
    values = np.random.default_rng(3).standard_t(3, size=50000).astype(np.float32)
    decoded = decoded_of(values)
    kept = values[decoded != 0].astype(np.float64)
    edges = kept.mean() + kept.std() * np.array([-1.5, 0, 1.5])
    bins = np.digitize(kept, edges)
    expected = np.array([kept[bins == b].mean() for b in range(4)])
    np.testing.assert_allclose(decoded[decoded != 0], expected[bins], rtol=1e-6)
    assert len(set(decoded[decoded != 0])) == 4


def test_at_most_a_fiftieth_of_a_byte_per_parameter():
    """Uniform positions, the worst case: the entropy floor is 0.01829, Rice reaches 0.01855."""
    size = 4096 * 256
    assert len(SPARSE.encode(normal(size))) / size <= 0.0186


def test_the_down_link_variant_keeps_its_rate():
    size = 4096 * 64
    assert len(CODECS["sparse_down"].encode(normal(size))) / size == pytest.approx(0.0740, rel=0.01)


def test_clustered_positions_cost_no_more():
    values = np.zeros((64, 4096), np.float32)
    values[:, 100:164] = normal((64, 64))
    assert len(SPARSE.encode(values.reshape(-1))) / values.size < 0.0186


def test_zeros_are_sent_as_the_first_places():
    assert not decoded_of(np.zeros(9000, np.float32)).any()


@pytest.mark.parametrize("size", [0, 1, 2, 65])
def test_small_tensors_keep_at_least_one_value(size):
    values = np.arange(1, size + 1, dtype=np.float32)
    assert np.count_nonzero(decoded_of(values)) == -(-size // 64)


@LAWS
@given(data=st.data())
def test_any_finite_values_come_back_within_the_range_kept(data):
    numbers = st.floats(-(2.0**59), 2.0**59, width=32)
    values = data.draw(arrays(np.float32, st.sampled_from([5, 4100]), elements=numbers))
    decoded = decoded_of(values)
    assert np.abs(decoded).max() <= np.abs(values).max() * (1 + 2**-20)


def sections(data, size):
    """Where table, codes, low bits and unary part of a tensor begin."""
    kept = SPARSE.kept_of(size)
    codes = 16 + -(-kept * 2 // 8)
    return 16, codes, codes + -(-kept * 5 // 8), len(data)


def test_a_missing_gap_is_refused():
    data = bytearray(SPARSE.encode(normal(4096)))
    *_, unary, end = sections(data, 4096)
    last = max(i for i in range(unary, end) if data[i])
    data[last] &= data[last] - 1
    with pytest.raises(UpdateRefused, match="gaps"):
        SPARSE.decode(data, 4096)


def test_an_index_beyond_the_chunk_is_refused():
    values = np.zeros(4096, np.float32)
    values[-64:] = 1
    data = bytearray(SPARSE.encode(values))
    _, low, _, _ = sections(data, 4096)
    data[low] |= 31  # the first gap was 4032 = 126 * 32 + 0
    with pytest.raises(UpdateRefused, match="outside its chunk"):
        SPARSE.decode(data, 4096)


def test_bits_after_the_last_code_are_refused():
    data = bytearray(SPARSE.encode(np.arange(1, 65, dtype=np.float32)))
    data[16] |= 0b100
    with pytest.raises(UpdateRefused, match="after its last"):
        SPARSE.decode(data, 64)


def test_a_padding_byte_is_refused():
    with pytest.raises(UpdateRefused) as refused:
        SPARSE.decode(SPARSE.encode(normal(4096)) + b"\0", 4096)
    assert refused.value.reason is RefusalReason.MALFORMED


def test_a_mean_without_values_is_refused():
    data = bytearray(SPARSE.encode(np.ones(64, np.float32)))
    assert data[0:4] == b"\0\0\0\0"
    data[0] = 1
    with pytest.raises(UpdateRefused, match="without values"):
        SPARSE.decode(data, 64)


# --- error feedback ---------------------------------------------------------------------------


def test_with_beta_one_nothing_is_ever_lost():
    feedback, sent, given_ = ErrorFeedback(beta=1.0), 0.0, 0.0
    for seed in range(12):
        delta = normal(5000, seed)
        carried = feedback.carried("w", delta)
        decoded = decoded_of(carried)
        feedback = ErrorFeedback({"w": carried - decoded}, 1.0)
        given_, sent = given_ + delta.astype(np.float64), sent + decoded.astype(np.float64)
    np.testing.assert_allclose(sent + feedback.residuals["w"], given_, atol=1e-4)


def test_residuals_decay_by_beta():
    feedback = ErrorFeedback({"w": np.full(4, 2, np.float32)}, beta=0.5)
    assert feedback.carried("w", np.ones(4, np.float32)).tolist() == [2, 2, 2, 2]
    assert feedback.residuals["w"].tolist() == [2, 2, 2, 2], "the old value stays as it was"


def test_a_lost_update_is_put_back():
    values = normal(4096)
    decoded = decoded_of(values)
    after = ErrorFeedback({"w": values - decoded})
    np.testing.assert_allclose(
        after.restored(lambda name: decoded).residuals["w"], values, atol=1e-6
    )


def test_residuals_survive_saving():
    feedback = ErrorFeedback({"w": normal(8)})
    assert ErrorFeedback.from_arrays(feedback.to_arrays()).residuals["w"] is feedback.residuals["w"]


def test_a_residual_of_another_shape_is_an_error():
    with pytest.raises(UpdateError, match="shape"):
        ErrorFeedback({"w": normal(8)}).carried("w", normal(9))
