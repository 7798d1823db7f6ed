"""Integer updates: nothing wraps, rounding is fair, the mean is exact, files have one length."""

import os
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import DocumentError, SealRefused, UpdateError, UpdateRefused
from concord.crypto.seal.ring import Ring
from concord.update.integer import (
    FluHeader,
    Mode,
    Scale,
    ScaleTable,
    next_scales,
    open_file,
    quantise,
)
from concord.update.integer.scales import tensor_rms

TABLE = ScaleTable(16, 8, (Scale("a", 6, 0.5), Scale("b", 1, 2.0)))


def header(**changed) -> FluHeader:
    fields = {
        "mode": Mode.MASKED, "ring": TABLE.ring, "run": bytes(range(16)), "round": 7,
        "fragment": 2, "attempt": 1, "member": 3, "count": TABLE.count, "scales": TABLE.hash16,
    }  # fmt: skip
    return FluHeader(**(fields | changed))


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("size", [3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 128, 200])
def test_the_worst_sum_leaves_the_guard_bit_alone(bits: int, size: int) -> None:
    ring = Ring(bits, size)
    assert size * ring.largest < 1 << (bits - 2)
    assert ring.value_bits == bits - (size - 1).bit_length() - 1


@pytest.mark.parametrize(("bits", "size"), [(8, 8), (64, 8), (16, 2), (16, 201), (0, 8)])
def test_a_ring_that_could_wrap_is_refused(bits: int, size: int) -> None:
    with pytest.raises(SealRefused):
        Ring(bits, size)


@pytest.mark.parametrize("bits", [16, 32])
def test_rounding_is_right_on_average(bits: int) -> None:
    ring, count = Ring(bits, 8), 200_000
    out = np.empty(count, ring.signed)
    clip = float(ring.largest)
    for value in (0.25, -0.75, 3.5, 100.1):
        values = np.full(count, value, np.float32)
        quantise(values, out, clip=clip, share=1.0, ring=ring, random=os.urandom)
        assert set(np.unique(out)) <= {np.floor(value), np.floor(value) + 1}
        assert abs(out.mean(dtype=np.float64) - np.float64(np.float32(value))) < 0.006


@given(
    st.lists(st.floats(-(2.0**90), 2.0**90, width=32), min_size=1, max_size=50),
    st.sampled_from([16, 32]),
    st.floats(2.0**-60, 2.0**60),
)
def test_no_value_leaves_the_bounds(values: list[float], bits: int, clip: float) -> None:
    ring = Ring(bits, 8)
    values_D = np.clip(np.array(values, np.float32), -(2.0**60), 2.0**60).astype(np.float32)
    out = np.empty(values_D.size, ring.signed)
    for random in (os.urandom, bytes, lambda count: b"\xff" * count):
        quantise(values_D, out, clip=clip, share=1.0, ring=ring, random=random)
        assert np.abs(out.astype(np.int64)).max() <= ring.largest


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_not_finite_is_not_quantised(bad: float) -> None:
    ring = TABLE.ring
    values, out = np.full(6, bad, np.float32), np.empty(6, ring.signed)
    with pytest.raises(UpdateError, match="NaN"):
        quantise(values, out, clip=1.0, share=1.0, ring=ring, random=os.urandom)


def test_the_mean_is_the_weighted_mean_to_half_a_percent() -> None:
    """At 11 bits and 16 members; members scale by their weight over the largest."""
    rng = np.random.default_rng(5)
    weights = [Fraction(int(rng.integers(1, 5)), 7) for _ in range(16)]
    updates = [rng.standard_normal(20_000).astype(np.float32) for _ in weights]
    ring, clip, largest = Ring(16, 16), 8.0, max(weights)
    assert ring.value_bits == 11
    total = np.zeros(20_000, np.int64)
    for update, weight in zip(updates, weights, strict=True):
        out = np.empty(20_000, ring.signed)
        share = float(weight / largest)
        quantise(update, out, clip=clip, share=share, ring=ring, random=os.urandom)
        total += out
    found = total * float(Fraction(clip) * largest / (ring.largest * sum(weights)))
    exact = np.average(np.array(updates, np.float64), axis=0, weights=np.array(weights, float))
    assert np.linalg.norm(found - exact) / np.linalg.norm(exact) < 0.005


def test_the_scale_follows_the_last_update_by_a_factor_two_at_most() -> None:
    sizes = {"a": 6, "b": 1, "c": 2}
    table = ScaleTable(16, 8, tuple(Scale(name, size, 1.0) for name, size in sizes.items()))
    after = next_scales(table, {"a": 1.0, "b": 0.0, "c": 0.0625}, contributors=4)
    assert [one.clip for one in after.tensors] == [2.0, 0.5, 1.0]
    assert tensor_rms(np.array([3.0, -4.0], np.float32)) == pytest.approx(np.sqrt(12.5))


def test_a_scale_table_has_one_form() -> None:
    data = TABLE.encode()
    assert ScaleTable.decode(data) == TABLE
    for bad in (
        data.replace(b"0x1.0000000000000p-1", b"0x2.0000000000000p-2"),
        data.replace(b"0x1.0000000000000p-1", b"nan"),
        data.replace(b"0x1.0000000000000p-1", b"0x1.0000000000001p-1"),
        data.replace(b'"a",6', b'"c",6'),
        data.replace(b'"a",6', b'"a",0'),
        data.replace(b"16", b"64"),
        data.replace(b'"version":1', b'"version":2'),
        b"[]",
        b"",
    ):
        with pytest.raises((DocumentError, SealRefused)):
            ScaleTable.decode(bad)


def test_the_header_is_laid_out_as_specified() -> None:
    data = header().encode()
    assert len(data) == 64
    assert data[:8] == b"FLU1" + bytes([1, 1, 16, 12])
    assert data[8:24] == bytes(range(16))
    assert struct.unpack("<QIHHQ", data[24:48]) == (7, 2, 1, 3, 7 + 64)
    assert data[48:] == bytes.fromhex(TABLE.digest[7:])[:16]


@pytest.mark.parametrize("changed", [
    {"run": b"short"}, {"round": -1}, {"round": 1 << 64}, {"member": 1 << 16}, {"count": 64},
    {"count": 1 << 41}, {"attempt": 1 << 16}, {"scales": bytes(32)},
])  # fmt: skip
def test_a_header_out_of_range_is_refused(changed) -> None:
    with pytest.raises(UpdateError):
        header(**changed)


def test_every_other_byte_of_the_header_and_every_other_length_is_refused(tmp_path) -> None:
    vector = np.arange(TABLE.count, dtype="<u2")
    data = header().encode() + vector.tobytes()
    path = tmp_path / "vector"
    for at in range(64):
        bad = bytearray(data)
        bad[at] ^= 1
        path.write_bytes(bad)
        with pytest.raises(UpdateRefused):
            open_file(path, header())
    for bad in (b"", data[:63], data[:64], data[:-1], data + b"\0"):
        path.write_bytes(bad)
        with pytest.raises(UpdateRefused):
            open_file(path, header())
    path.write_bytes(data)
    assert (open_file(path, header()) == vector).all()
    with pytest.raises(UpdateRefused):
        open_file(tmp_path / "absent", header())
