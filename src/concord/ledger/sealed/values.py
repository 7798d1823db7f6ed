"""Between tensors and the integers of a sealed vector: at a member one way, of a sum the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from concord.base.errors import UpdateError
from concord.base.tensors import FloatArray, TensorFile
from concord.charter.run import RunDocument
from concord.crypto.seal import Ring
from concord.crypto.seal.ring import SignedArray
from concord.ledger.arithmetic import round_weights
from concord.ledger.sealed.coverage import Coverage
from concord.ledger.sealed.tables import digits
from concord.update.codecs.interface import check_encodable
from concord.update.integer.quantise import RandomBytes, quantise
from concord.update.integer.scales import ScaleTable, tensor_rms
from concord.update.layout import Entry, Layout

WINDOW = 1 << 16


@dataclass(frozen=True)
class Weighing:
    """How much the updates of a run's members count, before anybody drops out.

    Args:
        weights: Of every member of the roster; they add up to 1.
    """

    weights: Mapping[str, Fraction]

    @property
    def largest(self) -> Fraction:
        return max(self.weights.values())

    def share(self, member: str) -> float:
        """w_m / w_max, by which a member scales its values."""
        return float(self.weights[member] / self.largest)

    def divisor(self, shares: Mapping[str, Fraction]) -> Fraction:
        """D, from the survivors' exact shares of the mean: w_m / D is one of them."""
        member, share = next(iter(shares.items()))
        return self.weights[member] / share


def weighing(run: RunDocument) -> Weighing:
    """The weights that members use, which follow from the run document."""
    return Weighing(round_weights(run, run.member_ids))


def quantised(
    tensors: Mapping[str, FloatArray],
    layout: Layout,
    table: ScaleTable,
    coverage: Coverage,
    *,
    limits: Mapping[str, float],
    share: float,
    random: RandomBytes,
) -> SignedArray:
    """A member's update as one vector, check elements at its end.

    Args:
        tensors: Of the layout, by name, float32.
        limits: Largest L2 norm of each weight that has one; longer ones are shortened to it.
        share: The member's `Weighing.share`.
        random: The member's own, such as a keystream under a fresh key.

    Raises:
        UpdateError: other tensors than the layout's, or a value that is not finite.
    """
    if tensors.keys() != layout.by_name.keys():
        raise UpdateError("holds other tensors than the layout")
    vector = np.zeros(table.count, table.ring.signed)
    for scale, start, entry in zip(table.tensors, table.starts, layout, strict=True):
        values = coverage.without(entry, tensors[entry.name]).reshape(-1)
        if values.size != entry.spec.size:
            raise UpdateError(f"has {values.size:,} values", where=entry.name)
        part = vector[start : start + scale.size]
        if entry.is_weight:
            values = _at_most(values, limits.get(entry.name, math.inf))
            quantise(values, part, clip=scale.clip, share=share, ring=table.ring, random=random)
        else:
            _write_digits(values, part, scale.clip / share, table.ring, random)
    return vector


def _at_most(values_D: FloatArray, limit: float) -> FloatArray:
    if math.isinf(limit):
        return values_D
    length = math.sqrt(float(np.dot(values_D, values_D)))  # nobody computes it again
    return values_D if length <= limit else values_D * np.float32(limit / length)


def _write_digits(
    values_D: FloatArray, out: SignedArray, bound: float, ring: Ring, random: RandomBytes
) -> None:
    """Values of 0 to `bound` in fixed point, the lowest digit of all of them first."""
    check_encodable(values_D)
    count, bits = digits(ring), ring.value_bits - 1
    drawn = np.frombuffer(random(values_D.size * 4), "<u4").astype(np.float64) * 2.0**-32
    scaled = np.clip(values_D.astype(np.float64) / bound, 0.0, 1.0) * 2.0 ** (count * bits)
    fixed = np.minimum(np.floor(scaled + drawn).astype(np.int64), (1 << (count * bits)) - 1)
    for number in range(count):
        part = out[number * values_D.size : (number + 1) * values_D.size]
        part[:] = (fixed >> (number * bits)) & ((1 << bits) - 1)


class SealedMean:
    """The mean of a round, tensor by tensor, from the sums of its cohorts.

        weights   c_T w_max S_T / (Q D)        state   clip_norm^2 w_max S_T / (2^(digits bits) D)

    Sums are exact; a factor is an exact fraction, rounded once to float64; the product is rounded
    once to float64 and once to float32. Rows that are left out are 0, and state there is as before.

    Args:
        sums: Of each cohort, check elements left out.
        divisor: D.
        base: The base that the updates started from.
    """

    def __init__(
        self,
        sums: Sequence[SignedArray],
        layout: Layout,
        table: ScaleTable,
        coverage: Coverage,
        *,
        largest: Fraction,
        divisor: Fraction,
        base: TensorFile,
    ) -> None:
        self.layout = layout
        self._sums, self._table, self._coverage = sums, table, coverage
        self._factor, self._base = largest / divisor, base
        self._places = {
            scale.name: (scale, start)
            for scale, start in zip(table.tensors, table.starts, strict=True)
        }
        self.rms: dict[str, float] = {}
        """Of each weight that was asked for, over the rows that took part."""

    def tensor(self, name: str) -> FloatArray:
        """The merged tensor, of its shape."""
        entry = self.layout.by_name[name]
        scale, start = self._places[name]
        total_D = self._total(start, start + scale.size)
        rows = self._coverage.hidden_rows(entry)
        if not entry.is_weight:
            return self._state(entry, total_D, scale.clip)
        factor = Fraction(scale.clip) * self._factor / self._table.ring.largest
        merged = (total_D.astype(np.float64) * float(factor)).astype(np.float32)
        merged = merged.reshape(entry.spec.shape)
        if rows is None:
            self.rms[name] = tensor_rms(merged.reshape(-1))
        else:
            merged[rows] = 0.0
            kept = merged[~rows].reshape(-1)
            self.rms[name] = tensor_rms(kept) if kept.size else 0.0
        return merged

    def _state(self, entry: Entry, total_D: NDArray[np.int64], bound: float) -> FloatArray:
        count, bits = digits(self._table.ring), self._table.ring.value_bits - 1
        fixed = np.zeros(entry.spec.size, np.int64)
        for number, digit in enumerate(total_D.reshape(count, -1)):
            fixed += digit << (number * bits)
        factor = Fraction(bound) * self._factor / (1 << (count * bits))
        merged = (fixed.astype(np.float64) * float(factor)).astype(np.float32)
        merged = np.maximum(merged.reshape(entry.spec.shape), np.float32(0.0))
        rows = self._coverage.hidden_rows(entry)
        if rows is not None:
            merged[rows] = self._base[entry.name][rows]
        return merged

    def _total(self, start: int, stop: int) -> NDArray[np.int64]:
        total_D = np.zeros(stop - start, np.int64)
        for one in self._sums:
            total_D += one[start:stop]
        return total_D
