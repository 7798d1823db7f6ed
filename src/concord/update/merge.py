"""Many updates into one, tensor by tensor.

    mean    sum_m w_m v_m
    RDA     r d/|d|,  r = sum_m w_m |v_m|,  d = sum_m w_m v_m/|v_m|
    rows    row_t = sum_m w_m p_mt v_mt / sum_m w_m p_mt,  p_mt: share of token t in m's tokens

    robust  `concord.update.robust`

with v_m the update after norm control (`concord.update.norm_control`). Members are added in the
order of their ids, in float32, one operation at a time; norms and coefficients are float64 and
rounded once. So neither order of arrival nor machine changes a bit. Memory is one tensor and one
window, whatever the number of members; rules that sort coordinates, or compare updates with one
another, need a window of each member.

RDA (Radial-Directional Averaging): near-orthogonal updates of equal norm R average to R/sqrt M;
RDA keeps their norm. Source: Decoupled DiLoCo, arXiv 2604.21428. Rows by counts and by share:
Concord; a share, because a member that declares more tokens must not gain weight by it. A row
that one member alone met is that member's: no cap can hold there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np

from concord.base.errors import InternalError, UpdateError
from concord.base.tensors import FloatArray
from concord.update.codecs import WINDOW
from concord.update.gauge import Gauge, UpdateNorms
from concord.update.layout import Entry, Role
from concord.update.norm_control import SMALLEST_NORM, NormFactors, NormOptions
from concord.update.payload import UpdateFile
from concord.update.robust import (
    BY_COEFFICIENTS,
    BY_COORDINATE,
    Gram,
    inner_products,
    least_updates,
    mixed,
    nearest,
)
from concord.update.stack import Stack
from concord.update.sums import norm, tree_sum
from concord.update.weights import float32_weight

MergeRule = Literal[
    "mean",
    "rda",
    "centred_clipping",
    "geometric_median",
    "trimmed_mean",
    "coordinate_median",
    "krum",
    "multi_krum",
    "nnm_trimmed_mean",
]
SMALLEST_DIRECTION = 1e-6
"""RDA: below this the directions cancel, and the mean is used."""
WINDOW_UNIT = 4096


@dataclass(frozen=True)
class MergeOptions:
    """How updates become one; see the module."""

    rule: MergeRule = "mean"
    """RDA is for body matrices, everything else is averaged; robust rules are for all."""
    rows: Literal["uniform", "token_counts"] = "uniform"
    """For embeddings with one row per counted token."""
    norms: NormOptions = field(default_factory=NormOptions)
    """How much updates are scaled before."""
    hostile: int = 1
    """How many hostile updates a robust rule is to stand."""


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
            layouts differ; a robust rule has too few updates.
    """

    def __init__(
        self, accepted: Sequence[Accepted], options: MergeOptions, gauge: Gauge | None = None
    ) -> None:
        self._accepted = tuple(sorted(accepted, key=lambda one: one.member))
        _check(self._accepted)
        if len(accepted) < least_updates(options.rule, options.hostile):
            raise InternalError(f"{len(accepted)} updates are too few for {options.rule}")
        self._plain = [float32_weight(one.weight) for one in self._accepted]
        self.layout = self._accepted[0].update.layout
        self._stack = Stack([one.update for one in self._accepted], gauge)
        self._options = options
        self._factors = NormFactors([one.norms for one in self._accepted], options.norms)
        self._counts = self._total_counts() if options.rows == "token_counts" else None

    def tensor(self, name: str) -> FloatArray:
        """The merged tensor, of its shape.

        Raises:
            UpdateRefused: an update cannot be decoded (screening would have found it).
        """
        entry = self.layout.by_name[name]
        if self._options.rule in BY_COORDINATE and entry.role is not Role.COUNTS:
            return self._by_coordinate(entry).reshape(entry.spec.shape)
        if entry.role is Role.BODY and self._options.rule == "rda":
            merged_D = self._rda(entry)
        elif self._has_counted_rows(entry):
            merged_D = self._by_rows(entry)
        else:
            merged_D = self._weighted(entry, self._weights(entry))
        return merged_D.reshape(entry.spec.shape)

    def _weights(self, entry: Entry) -> list[np.float32]:
        """Coefficient of each update: merge weight, and norm control where it applies."""
        if entry.role is Role.COUNTS:
            return self._plain
        weights = [float(one.weight) for one in self._accepted]
        if self._options.rule in BY_COEFFICIENTS:
            weights = self._robust_shares(entry)
        pairs = zip(weights, self._factors.of(entry), strict=True)
        return [np.float32(weight * factor) for weight, factor in pairs]

    def _robust_shares(self, entry: Entry) -> list[float]:
        """What a robust rule gives each update. State is no difference: there they add up to 1."""
        shares = BY_COEFFICIENTS[self._options.rule](self._gram, self._options.hostile)
        if entry.is_weight:
            return shares
        total = math.fsum(shares)
        return [share / total for share in shares]

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
        for one, factor in zip(self._accepted, self._factors.of(entry), strict=True):
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

    # --- robust rules -----------------------------------------------------------------------

    def _by_coordinate(self, entry: Entry) -> FloatArray:
        """A rule that needs the values of all members side by side."""
        rule, hostile = BY_COORDINATE[self._options.rule], self._options.hostile
        merged_D, start = np.empty(entry.spec.size, np.float32), 0
        for values_MN in self._side_by_side(entry):
            if self._options.rule == "nnm_trimmed_mean":
                values_MN = mixed(values_MN, self._neighbours)
            found_N = rule(values_MN, hostile)
            merged_D[start : start + found_N.size] = found_N
            start += found_N.size
        return merged_D

    def _side_by_side(self, entry: Entry) -> Iterator[FloatArray]:
        """Windows of a tensor after norm control, a row for each member."""
        factors_M1 = np.array(self._factors.of(entry), np.float64).astype(np.float32)[:, None]
        sources = [one.update.windows(entry.name) for one in self._accepted]
        for windows in zip(*sources, strict=True):
            yield np.stack(windows) * factors_M1

    @cached_property
    def _gram(self) -> Gram:
        """Inner products of the updates' weights after norm control."""
        weights = (entry for entry in self.layout if entry.is_weight)
        windows = (window for entry in weights for window in self._side_by_side(entry))
        found: Gram = inner_products(windows, len(self._accepted)).tolist()
        return found

    @cached_property
    def _neighbours(self) -> list[list[int]]:
        return nearest(self._gram, self._options.hostile)

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
