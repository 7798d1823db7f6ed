"""Whether training gets worse instead of better, told from the losses that updates declare.

A rate that is too high need not end in a loss that is no number: it may rise to a bad one and stay
there. So each member's loss is averaged over its last rounds and compared with the lowest such
average before; members are compared with themselves, since languages differ and some may be away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

WINDOW_ROUNDS = 5
"""One round of few tokens says little; their mean over so many is compared."""
ALARM_NATS = 0.3
"""Assumption: above what sampling alone does to such a mean, below a model that is lost."""


@dataclass(frozen=True)
class LossCourse:
    """Each member's last losses, and its lowest mean over a window so far; in nats per token."""

    recent: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    lowest: Mapping[str, float] = field(default_factory=dict)

    def after(self, losses: Mapping[str, float]) -> LossCourse:
        """The course after one more round, given the mean loss of each member that took part."""
        recent, lowest = dict(self.recent), dict(self.lowest)
        for member, loss in losses.items():
            recent[member] = (*recent.get(member, ()), loss)[-WINDOW_ROUNDS:]
            if len(recent[member]) == WINDOW_ROUNDS:
                mean = fmean(recent[member])
                lowest[member] = min(mean, lowest.get(member, mean))
        return LossCourse(recent, lowest)

    @property
    def rise_nats(self) -> float:
        """How far the members' losses lie above their lowest, on average; 0 where nobody's does."""
        rises = [fmean(self.recent[member]) - low for member, low in self.lowest.items()]
        return fmean(rises) if rises else 0.0

    @property
    def alarming(self) -> bool:
        return self.rise_nats > ALARM_NATS
