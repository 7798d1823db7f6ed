"""Integer updates: nothing wraps, rounding is fair, the mean is exact, files have one length."""

import os
import struct
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import DocumentError, SealRefused, UpdateError, UpdateRefused
from concord.crypto.seal.ring import CHECK_ELEMENTS, Ring
from concord.update.integer import (
    FluHeader,
    Mode,
    Scale,
    ScaleTable,
    first_scales,
    mean_divisor,
    mean_tensors,
    next_scales,
    open_file,
    quantise,
    quantise_update,
    read_file,
)
from concord.update.integer.scales import tensor_rms

ONE = Fraction(1)
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
    tensors = {"a": np.full((2, 3), bad, np.float32), "b": np.zeros(1, np.float32)}
    with pytest.raises(UpdateError, match="NaN"):
        quantise_update(tensors, TABLE, weight=ONE, largest_weight=ONE, random=os.urandom)


def test_another_tensor_than_the_tables_is_refused() -> None:
    for tensors in ({"a": np.zeros(6, np.float32)}, {"a": np.zeros(5, np.float32), "b": np.ones(1, np.float32)}):  # fmt: skip  # noqa: E501
        with pytest.raises(UpdateError):
            quantise_update(tensors, TABLE, weight=ONE, largest_weight=ONE, random=os.urandom)


@pytest.mark.parametrize("weight", [Fraction(0), Fraction(-1), Fraction(2)])
def test_a_weight_beyond_the_largest_is_refused(weight: Fraction) -> None:
    tensors = {"a": np.zeros(6, np.float32), "b": np.zeros(1, np.float32)}
    with pytest.raises(DocumentError):
        quantise_update(tensors, TABLE, weight=weight, largest_weight=ONE, random=os.urandom)


def test_the_mean_is_the_weighted_mean_to_half_a_percent() -> None:
    """At 11 bits and 16 members; the bound is that of the specification."""
    rng = np.random.default_rng(5)
    weights = {f"m{i}": Fraction(int(rng.integers(1, 5)), 7) for i in range(16)}
    largest = max(weights.values())
    updates = {m: rng.standard_normal(20_000).astype(np.float32) for m in weights}
    table = ScaleTable(16, 16, (Scale("a", 20_000, 8.0),))
    assert table.ring.value_bits == 11
    total = np.zeros(20_000, np.int64)
    for member, weight in weights.items():
        vector = quantise_update(
            {"a": updates[member]}, table, weight=weight, largest_weight=largest, random=os.urandom
        )
        assert not vector[-CHECK_ELEMENTS:].any()
        total += vector[:-CHECK_ELEMENTS]
    divisor = mean_divisor(weights, owners={}, cap=ONE)
    sums = [total.astype(np.int16)]
    ((_, found),) = mean_tensors(sums, table, largest_weight=largest, divisor=divisor)
    exact = sum(float(w / sum(weights.values())) * updates[m].astype(np.float64)
                for m, w in weights.items())  # fmt: skip
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert error < 0.005


def test_the_mean_is_the_exact_fraction_rounded() -> None:
    table = ScaleTable(16, 3, (Scale("a", 4, float(np.float32(0.3))),))
    q = np.array([0, 1, -8000, 12285], np.int16)
    divisor = Fraction(7, 5)
    ((name, found),) = mean_tensors([q], table, largest_weight=Fraction(2, 3), divisor=divisor)
    step = Fraction(float(np.float32(0.3))) * Fraction(2, 3) / (table.ring.largest * divisor)
    assert name == "a"
    assert found.tolist() == [float(np.float32(float(int(one) * step))) for one in q]


def test_sums_of_cohorts_add_up_in_any_order() -> None:
    rng = np.random.default_rng(1)
    sums = [rng.integers(-16000, 16000, 7).astype(np.int16) for _ in range(4)]
    results = {
        b"".join(
            a.tobytes() for _, a in mean_tensors(order, TABLE, largest_weight=ONE, divisor=ONE)
        )
        for order in permutations(sums)
    }
    assert len(results) == 1


def test_drop_outs_lift_no_owner_over_the_cap() -> None:
    weights = {"a": Fraction(3), "b": Fraction(1), "c": Fraction(1)}
    cap = Fraction(2, 5)
    divisor = mean_divisor(weights, owners={}, cap=cap)
    assert weights["a"] / divisor == cap
    both = mean_divisor(weights, owners={"b": "one", "c": "one", "a": "two"}, cap=cap)
    assert (weights["b"] + weights["c"]) / both <= cap
    full = mean_divisor({f"m{i}": ONE for i in range(5)}, owners={}, cap=Fraction(1, 5))
    assert full == 5


@pytest.mark.parametrize(("weights", "cap"), [({}, ONE), ({"a": Fraction(0)}, ONE), ({"a": ONE}, Fraction(2))])  # fmt: skip  # noqa: E501
def test_nobody_to_weigh_is_refused(weights, cap) -> None:
    with pytest.raises(DocumentError):
        mean_divisor(weights, owners={}, cap=cap)


def test_the_scale_follows_the_last_update_by_a_factor_two_at_most() -> None:
    table = first_scales({"a": 6, "b": 1, "c": 2}, 1.0, ring_bits=16, members=8)
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
    assert (read_file(data, header()) == vector).all()
    for at in range(64):
        bad = bytearray(data)
        bad[at] ^= 1
        with pytest.raises(UpdateRefused):
            read_file(bytes(bad), header())
    for bad in (b"", data[:63], data[:64], data[:-1], data + b"\0"):
        with pytest.raises(UpdateRefused):
            read_file(bad, header())
        path = tmp_path / "vector"
        path.write_bytes(bad)
        with pytest.raises(UpdateRefused):
            open_file(path, header())
    path.write_bytes(data)
    assert (open_file(path, header()) == vector).all()
    with pytest.raises(UpdateRefused):
        open_file(tmp_path / "absent", header())
