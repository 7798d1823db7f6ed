"""Steps that a member takes while its update travels, and what it is when the new base arrives.

    update t sent ─► τ steps of round t+1, from own weights θ ─► base Θ of round t+1 arrives
                  ─► θ <- α θ + (1 - α) Θ ─► the other H - τ steps

Always exactly τ steps, however fast the link was: a member that was killed and started again takes
them once more from what it saved, and comes to the same update. The update of round t+1 is the
raw base Θ minus what all steps led to. Who has no own weights to go on from (a newcomer, or a
member whose update did not go in) takes all H steps from the base.

Source: Douillard et al. 2025 (Streaming DiLoCo, arXiv 2501.18512), delayed overlap, one fragment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from concord.base.digest import Digest
from concord.base.tensors import FloatArray
from concord.train.loop import InnerStats


@dataclass
class Ahead:
    """Where the network stands beyond the member's last update."""

    update: Digest
    """The update after which the network went on."""
    taken: list[tuple[InnerStats, NDArray[np.int64]]] = field(default_factory=list)
    """Each stretch of steps of the next round, and [vocabulary] how often it met each token."""

    @property
    def steps(self) -> int:
        return sum(stats.steps for stats, _ in self.taken)


def mixed(own: FloatArray, base: FloatArray, blend: float) -> FloatArray:
    """Weights to go on from when a base arrives: a share of the own ones, the rest the base's."""
    if blend == 0:
        return base
    return own * np.float32(blend) + base * np.float32(1 - blend)


def joined(
    parts: list[tuple[InnerStats, NDArray[np.int64]]],
) -> tuple[InnerStats, NDArray[np.int64]]:
    """Stretches of steps as one."""
    stats = [one for one, _ in parts]
    whole = InnerStats(
        steps=sum(one.steps for one in stats),
        tokens=sum(one.tokens for one in stats),
        seconds=sum(one.seconds for one in stats),
        flops=sum(one.flops for one in stats),
        losses=tuple(loss for one in stats for loss in one.losses),
        gradient_norms=tuple(norm for one in stats for norm in one.gradient_norms),
    )
    counts_V = parts[0][1].copy()
    for _, more_V in parts[1:]:
        counts_V += more_V
    return whole, counts_V
