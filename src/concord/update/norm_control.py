"""Norm control: how much an update is scaled before it is merged.

    clip_to_median    min(1, med / |v|)      over all weights, med of the accepted updates
    scale_to_median   med / |v|
    clip_groups       min(1, c med_g / |v_g|)   for each group g: body, embedding, vector

med_g is the median of the last rounds (`screening.NormHistory`), so that few members in one round
do not set their own bound; in the first rounds, the lower median of the accepted updates. Shared
state is clipped by `clip_groups` too, tensor by tensor, at `STATE_RATIO` times the lower median of
the round: it is no difference, so it does not follow the rates, and honest members differ more.

One-sided clipping never lifts a small update: who did little would otherwise be made loud.
Source: security.md 8, default (3); Decoupled DiLoCo, arXiv 2604.21428, for the median.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from concord.update.gauge import UpdateNorms
from concord.update.layout import Entry, Role

SMALLEST_NORM = 1e-30
"""A shorter vector has no direction that float32 could hold."""
STATE_RATIO = 4.0
"""Largest norm of a tensor of shared state, to the round's median (assumption)."""


@dataclass(frozen=True)
class NormOptions:
    """Which rule, and what it compares with."""

    rule: Literal["none", "clip_to_median", "scale_to_median", "clip_groups"] = "none"
    clip_ratio: float = 1.5
    """c of `clip_groups`."""
    medians: Mapping[str, float] = field(default_factory=dict)
    """Running median norm of each group, at this round's rates; those that are known yet."""


class NormFactors:
    """The factor on each tensor of each accepted update.

    Args:
        norms: Of the accepted updates, in order.
        options: The rule.
    """

    def __init__(self, norms: Sequence[UpdateNorms], options: NormOptions) -> None:
        self._total = norm_factors([one.total for one in norms], options)
        self._groups: dict[str, list[float]] = {}
        self._state: dict[str, list[float]] = {}
        if options.rule == "clip_groups" and norms:
            for group in norms[0].groups:
                found = [one.groups[group] for one in norms]
                median = options.medians.get(group, statistics.median_low(found))
                self._groups[group] = _clipped(found, options.clip_ratio * median)
            for name in norms[0].state:
                found = [one.state[name] for one in norms]
                self._state[name] = _clipped(found, STATE_RATIO * statistics.median_low(found))

    def of(self, entry: Entry) -> list[float]:
        """Factor of each update for this tensor."""
        if entry.role is Role.STATE:
            return self._state.get(entry.name, [1.0] * len(self._total))
        return self._groups.get(str(entry.role), self._total)

    @property
    def change_nothing(self) -> bool:
        """Whether every factor is 1."""
        lists = [self._total, *self._groups.values(), *self._state.values()]
        return all(factor == 1.0 for factors in lists for factor in factors)


def norm_factors(norms: Sequence[float], options: NormOptions) -> list[float]:
    """Factor on each update that brings its whole norm to the median, or down to it."""
    if options.rule not in ("clip_to_median", "scale_to_median"):
        return [1.0] * len(norms)
    median = statistics.median(norms)
    ratios = [median / n if n > SMALLEST_NORM else 1.0 for n in norms]
    return ratios if options.rule == "scale_to_median" else [min(1.0, r) for r in ratios]


def _clipped(norms: Sequence[float], bound: float) -> list[float]:
    return [bound / n if n > bound else 1.0 for n in norms]
