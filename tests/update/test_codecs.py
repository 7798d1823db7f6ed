"""Codecs: vectors of the formulae, laws on all finite values, and refusal of every stray bit."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from updatelab import LAWS

from concord.base.errors import RefusalReason, UpdateError, UpdateRefused
from concord.update.codecs import CODECS, LIMIT, WINDOW

ALL = sorted(CODECS)
DENSE = [name for name in ALL if not CODECS[name].feeds_back]
UNSIGNED = ["log4", "log8"]
SIZES = st.sampled_from([0, 1, 2, 3, 31, 255, 256, 257, 511, 4095, 4096, 4097, 9001])


def values_of(size, *, unsigned=False):
    """Anything a tensor may hold: spread over decades, with zeros, subnormals and equals."""
    least = 0.0 if unsigned else -(2.0**59)
    numbers = st.floats(least, 2.0**59, width=32)
    common = st.sampled_from([0.0, 1.0, 1e-3, 1e-20, 1e-45])
    return arrays(np.float32, size, elements=numbers | common, fill=common)


@st.composite
def tensors(draw, codec):
    return draw(values_of(draw(SIZES), unsigned=codec in UNSIGNED))


def float32(values):
    return np.array(values, np.float32)


def test_int4_writes_the_published_vector():
    data = CODECS["int4"].encode(float32([0.7, -0.33, 0.04, 0]))
    (scale,) = struct.unpack("<f", data[:4])
    assert scale == pytest.approx(0.1)
    assert data[4:] == bytes([0xD7, 0x00])  # 7 and -3, low nibble first, then 0 and 0


def test_int8_has_127_steps_either_way():
    data = CODECS["int8"].encode(float32([-1.27, 0.64, 0.0]))
    assert struct.unpack("<f3b", data)[1:] == (-127, 64, 0)


@pytest.mark.parametrize("codec", ["int4", "int8"])
def test_codes_are_rounded_half_to_even(codec):
    levels = CODECS[codec].levels
    decoded = CODECS[codec].decode(CODECS[codec].encode(float32([levels, 0.5, 1.5, 2.5])), 4)
    assert decoded.tolist() == [levels, 0, 2, 2]


def test_bf16_agrees_with_torch():
    torch = pytest.importorskip("torch")
    bits = np.random.default_rng(1).integers(0, 2**32, 20000, np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    values = values[np.abs(values) <= LIMIT]
    decoded = CODECS["bf16"].decode(CODECS["bf16"].encode(values), values.size)
    expected = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(decoded, expected)


@LAWS
@given(tensors("fp32"))
def test_fp32_is_exact_to_the_sign_of_zero(values):
    decoded = CODECS["fp32"].decode(CODECS["fp32"].encode(values), values.size)
    assert decoded.tobytes() == values.tobytes()


def blocks_of(values):
    for start in range(0, values.size, 256):
        yield values[start : start + 256].astype(np.float64)


@pytest.mark.parametrize("codec", ["int4", "int8"])
@LAWS
@given(data=st.data())
def test_uniform_error_is_at_most_half_a_step(codec, data):
    values = data.draw(tensors(codec))
    decoded = CODECS[codec].decode(CODECS[codec].encode(values), values.size)
    for given_block, block in zip(blocks_of(values), blocks_of(decoded), strict=True):
        step = np.abs(given_block).max() / CODECS[codec].levels
        # a step below 2^-149 cannot be written: there the error is the value
        allowed = step * (0.5 + 2**-16) + CODECS[codec].levels * 2.0**-149
        assert np.abs(given_block - block).max() <= allowed


@pytest.mark.parametrize(("codec", "orders", "error"), [("log8", 31, 2**-4), ("log4", 14, 0.415)])
@LAWS
@given(data=st.data())
def test_logarithmic_error_is_relative_within_its_range(codec, orders, error, data):
    values = data.draw(tensors(codec))
    decoded = CODECS[codec].decode(CODECS[codec].encode(values), values.size)
    assert np.array_equal(decoded[values == 0], values[values == 0])
    for given_block, block in zip(blocks_of(values), blocks_of(decoded), strict=True):
        near = (given_block >= given_block.max() * 2.0**-orders) & (given_block > 2.0**-120)
        assert (np.abs(given_block - block)[near] <= given_block[near] * (error + 1e-6)).all()
        if given_block.max() > 2.0**-80:
            assert (block[given_block > 0] > 0).all(), "only 0 may become 0"


@pytest.mark.parametrize("codec", DENSE)
@LAWS
@given(data=st.data())
def test_decoding_again_changes_no_code(codec, data):
    values = data.draw(tensors(codec))
    once = CODECS[codec].decode(CODECS[codec].encode(values), values.size)
    twice = CODECS[codec].decode(CODECS[codec].encode(once), values.size)
    if codec in ("fp32", "bf16", "log4", "log8"):
        np.testing.assert_array_equal(once, twice)
    else:  # a scale may move by its last bit: 7s/7 is not always s
        normal = np.abs(once) > 2.0**-100
        np.testing.assert_allclose(twice[normal], once[normal], rtol=2**-21)


@pytest.mark.parametrize("codec", ALL)
@LAWS
@given(data=st.data())
def test_length_is_within_what_the_size_allows(codec, data):
    values = data.draw(tensors(codec))
    encoded = CODECS[codec].encode(values)
    least, most = CODECS[codec].least_bytes(values.size), CODECS[codec].most_bytes(values.size)
    assert least <= len(encoded) <= most
    assert CODECS[codec].encoded_size(values.size) in (None, len(encoded))


@pytest.mark.parametrize("codec", ALL)
def test_windows_give_what_decoding_at_once_gives(codec):
    values = np.abs(np.random.default_rng(2).normal(size=3 * WINDOW + 777)).astype(np.float32)
    data = CODECS[codec].encode(values)
    whole = CODECS[codec].decode(data, values.size)
    for length in (4096, WINDOW):
        parts = [w.copy() for w in CODECS[codec].windows(memoryview(data), values.size, length)]
        assert [part.size for part in parts[:-1]] == [length] * (values.size // length)
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2 * LIMIT])
def test_what_is_not_finite_is_not_encoded(codec, bad):
    values = np.ones(5000, np.float32)
    values[4500] = bad
    with pytest.raises(UpdateError):
        CODECS[codec].encode(values)


@pytest.mark.parametrize("codec", UNSIGNED)
def test_a_negative_value_has_no_code(codec):
    with pytest.raises(UpdateError, match="negative"):
        CODECS[codec].encode(float32([1, -1e-9]))


@pytest.mark.parametrize("codec", ALL)
def test_the_largest_values_come_back_finite(codec):
    values = np.full(300, LIMIT, np.float32)
    np.testing.assert_allclose(CODECS[codec].decode(CODECS[codec].encode(values), 300)[0], LIMIT)


@pytest.mark.parametrize("codec", ALL)
@LAWS
@given(data=st.data())
def test_altered_bytes_are_refused_or_decode_within_bounds(codec, data):
    size = data.draw(st.sampled_from([1, 33, 256, 5001]))
    seed = data.draw(st.integers(0, 5))
    values = np.abs(np.random.default_rng(seed).normal(size=size)).astype(np.float32)
    altered = bytearray(CODECS[codec].encode(values))
    for _ in range(data.draw(st.integers(1, 3))):
        altered[data.draw(st.integers(0, len(altered) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 7]))
    altered = bytes(altered[: len(altered) - cut]) + data.draw(st.sampled_from([b"", b"", b"\0"]))
    try:
        decoded = CODECS[codec].decode(altered, size)
    except UpdateRefused as error:
        assert error.reason in (RefusalReason.MALFORMED, RefusalReason.NON_FINITE)
        return
    assert decoded.shape == (size,)
    assert (np.abs(decoded) <= 2 * LIMIT).all()


@pytest.mark.parametrize("codec", ALL)
@LAWS
@given(rubbish=st.binary(max_size=400), size=SIZES)
def test_rubbish_never_crashes_a_decoder(codec, rubbish, size):
    try:
        decoded = CODECS[codec].decode(rubbish, size)
    except UpdateRefused:
        return
    assert decoded.shape == (size,)


REFUSED = RefusalReason.MALFORMED


@pytest.mark.parametrize(
    ("codec", "data", "size", "reason"),
    [
        ("int4", struct.pack("<f", 1) + b"\x08", 2, REFUSED),  # -8 is never written
        ("int8", struct.pack("<f", 1) + b"\x80", 1, REFUSED),  # nor is -128
        ("int4", struct.pack("<f", 1) + b"\x17", 1, REFUSED),  # a bit after the last value
        ("int4", struct.pack("<f", -1) + b"\x07", 1, REFUSED),
        ("int4", struct.pack("<f", -0.0) + b"\x00", 1, REFUSED),
        ("int4", struct.pack("<f", 0) + b"\x07", 1, REFUSED),  # two encodings of zero
        ("int4", struct.pack("<f", np.nan) + b"\x07", 1, RefusalReason.NON_FINITE),
        ("int4", struct.pack("<f", np.inf) + b"\x07", 1, RefusalReason.NON_FINITE),
        ("int8", struct.pack("<f", 2.0**100) + b"\x07", 1, RefusalReason.NON_FINITE),
        ("fp32", struct.pack("<f", np.nan), 1, RefusalReason.NON_FINITE),
        ("bf16", b"\x80\x7f", 1, RefusalReason.NON_FINITE),
        ("log8", struct.pack("<f", np.inf) + b"\xff", 1, RefusalReason.NON_FINITE),
    ],
)
def test_what_encode_never_writes_is_refused(codec, data, size, reason):
    with pytest.raises(UpdateRefused) as refused:
        CODECS[codec].decode(data, size)
    assert refused.value.reason is reason


def test_int4_is_seven_and_a_half_times_smaller_than_fp32():
    size = 1_000_000
    assert CODECS["fp32"].encoded_size(size) >= 7.5 * CODECS["int4"].encoded_size(size)


def test_second_moments_of_rare_rows_survive_beside_common_ones():
    """A block holds a common row and one 10^6 times smaller: equal steps would round it to zero."""
    values = np.r_[np.full(128, 1e-4), np.full(128, 1e-10)].astype(np.float32)
    decoded = CODECS["log8"].decode(CODECS["log8"].encode(values), 256)
    np.testing.assert_allclose(decoded, values, rtol=2**-4)
