"""Many updates into one, tensor by tensor.

    mean    sum_m w_m v_m
    RDA     r d/|d|,  r = sum_m w_m |v_m|,  d = sum_m w_m v_m/|v_m|
    rows    row_t = sum_m w_m p_mt v_mt / sum_m w_m p_mt,  p_mt: share of token t in m's tokens

with v_m the update after norm control. Members are added in the order of their ids, in float32,
one operation at a time; norms and coefficients are float64 and rounded once. So neither order of
arrival nor machine changes a bit. Memory is one tensor and one window, whatever the number of
members.

RDA (Radial-Directional Averaging): near-orthogonal updates of equal norm R average to R/sqrt M;
RDA keeps their norm. Source: Decoupled DiLoCo, arXiv 2604.21428. Rows by counts and by share:
Concord; a share, because a member that declares more tokens must not gain weight by it. A row
that one member alone met is that member's: no cap can hold there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from concord.base.errors import InternalError, UpdateError
from concord.base.tensors import FloatArray
from concord.update.codecs import WINDOW
from concord.update.gauge import Gauge, UpdateNorms
from concord.update.layout import Entry, Role
from concord.update.payload import UpdateFile
from concord.update.stack import Stack
from concord.update.sums import norm, tree_sum
from concord.update.weights import float32_weight

SMALLEST_NORM = 1e-30
"""A shorter vector has no direction that float32 could hold."""
SMALLEST_DIRECTION = 1e-6
"""RDA: below this the directions cancel, and the mean is used."""
WINDOW_UNIT = 4096


@dataclass(frozen=True)
class MergeOptions:
    """How updates become one; see the module."""

    rule: Literal["mean", "rda"] = "mean"
    """For body matrices; everything else is averaged."""
    rows: Literal["uniform", "token_counts"] = "uniform"
    """For embeddings with one row per counted token."""
    norm_control: Literal["none", "clip_to_median", "scale_to_median"] = "none"
    """On the norm over all weights of an update, against the median of the accepted ones."""


@dataclass(frozen=True)
class Accepted:
    """An update that passed screening, with its exact weight."""

    member: str
    update: UpdateFile
    weight: Fraction
    norms: UpdateNorms


class Merge:
    """The merge of one round.

    Args:
        accepted: Updates of one layout, in any order; weights add up to 1.
        options: The rules.
        gauge: Sees the updates, sorted by member, as they are decoded.

    Raises:
        InternalError: nothing was accepted, a member comes twice, weights do not add up to 1, or
            layouts differ.
    """

    def __init__(
        self, accepted: Sequence[Accepted], options: MergeOptions, gauge: Gauge | None = None
    ) -> None:
        self._accepted = tuple(sorted(accepted, key=lambda one: one.member))
        _check(self._accepted)
        self._plain = [float32_weight(one.weight) for one in self._accepted]
        self.layout = self._accepted[0].update.layout
        self._stack = Stack([one.update for one in self._accepted], gauge)
        self._options = options
        self._factors = norm_factors([one.norms.total for one in self._accepted], options)
        self._counts = self._total_counts() if options.rows == "token_counts" else None

    def tensor(self, name: str) -> FloatArray:
        """The merged tensor, of its shape.

        Raises:
            UpdateRefused: an update cannot be decoded (screening would have found it).
        """
        entry = self.layout.by_name[name]
        if entry.role is Role.BODY and self._options.rule == "rda":
            merged_D = self._rda(entry)
        elif self._has_counted_rows(entry):
            merged_D = self._by_rows(entry)
        else:
            merged_D = self._weighted(entry, self._weights(entry))
        return merged_D.reshape(entry.spec.shape)

    def _weights(self, entry: Entry) -> list[np.float32]:
        """Coefficient of each update: merge weight, and norm control where it applies."""
        if not entry.is_weight or self._options.norm_control == "none":
            return self._plain
        pairs = zip(self._accepted, self._factors, strict=True)
        return [np.float32(float(one.weight) * factor) for one, factor in pairs]

    def _weighted(self, entry: Entry, coefficients: Sequence[np.float32]) -> FloatArray:
        total_D = np.zeros(entry.spec.size, np.float32)
        for first, start, values_MN in self._stack.parts(entry):
            part = total_D[start : start + values_MN.shape[1]]
            for number, values in enumerate(values_MN, start=first):
                np.multiply(values, coefficients[number], out=values)
                np.add(part, values, out=part)
        return total_D

    def _rda(self, entry: Entry) -> FloatArray:
        radius, coefficients = 0.0, []
        for one, factor in zip(self._accepted, self._factors, strict=True):
            weight, length = float(one.weight), one.norms.tensors[entry.name]
            radius += weight * (length * factor)
            has_direction = length > SMALLEST_NORM
            coefficients.append(np.float32(weight / length if has_direction else 0.0))
        direction_D = self._weighted(entry, coefficients)
        length = norm(_windows(direction_D))
        if length < SMALLEST_DIRECTION:
            return self._weighted(entry, self._weights(entry))
        return np.multiply(direction_D, np.float32(radius / length), out=direction_D)

    def _has_counted_rows(self, entry: Entry) -> bool:
        return (
            self._counts is not None
            and entry.role is Role.EMBEDDING
            and entry.spec.shape[:1] == self._counts.shape
        )

    def _by_rows(self, entry: Entry) -> FloatArray:
        assert self._counts is not None  # noqa: S101 - callers checked
        rows, width = self._counts.size, entry.spec.size // max(self._counts.size, 1)
        total_RW = np.zeros((rows, width), np.float32)
        length = _rows_window(width)
        for number, coefficient in enumerate(self._weights(entry)):
            shares_R = self._shares(number) * coefficient
            start = 0
            for window in self._accepted[number].update.windows(entry.name, length):
                part_RW = window.reshape(-1, width)
                stop = start + len(part_RW)
                np.multiply(part_RW, shares_R[start:stop, None], out=part_RW)
                np.add(total_RW[start:stop], part_RW, out=total_RW[start:stop])
                start = stop
        met_R = np.where(self._counts > 0, self._counts, np.float32(1))
        return np.divide(total_RW, met_R[:, None], out=total_RW).reshape(-1)

    def _total_counts(self) -> FloatArray:
        """sum_m w_m p_mt for each token t."""
        entry = self.layout.counts
        if entry is None:
            raise UpdateError("rows cannot be weighed: updates carry no token counts")
        total_V = np.zeros(entry.spec.size, np.float32)
        for number, weight in enumerate(self._plain):
            total_V += self._shares(number) * weight
        return total_V

    def _shares(self, number: int) -> FloatArray:
        """p_mt: share of each token in what a member counted; 0 if it counted nothing."""
        assert self.layout.counts is not None  # noqa: S101 - callers checked
        counts_V = self._accepted[number].update.decode(self.layout.counts.name)
        total = tree_sum(counts_V.reshape(-1).astype(np.float64))
        shares_V = counts_V.reshape(-1).astype(np.float64) / (total if total > 0 else 1.0)
        return shares_V.astype(np.float32)


def norm_factors(norms: Sequence[float], options: MergeOptions) -> list[float]:
    """Factor on each update that brings its norm to the median, or down to it."""
    if options.norm_control == "none":
        return [1.0] * len(norms)
    median = statistics.median(norms)
    ratios = [median / n if n > SMALLEST_NORM else 1.0 for n in norms]
    return ratios if options.norm_control == "scale_to_median" else [min(1.0, r) for r in ratios]


def _check(accepted: Sequence[Accepted]) -> None:
    if not accepted:
        raise InternalError("a merge of no update was asked for")
    if len({one.member for one in accepted}) != len(accepted):
        raise InternalError("a member's update would be merged twice")
    if sum((one.weight for one in accepted), Fraction(0)) != 1:
        raise InternalError("merge weights do not add up to 1")
    if len({one.update.layout.digest for one in accepted}) != 1:
        raise InternalError("updates of different layouts would be merged")


def _windows(values_D: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, values_D.size, WINDOW):
        yield values_D[start : start + WINDOW]


def _rows_window(width: int) -> int:
    """A window of whole rows and whole codec blocks, near `WINDOW` values."""
    unit = math.lcm(max(width, 1), WINDOW_UNIT)
    return unit * max(1, WINDOW // unit)
