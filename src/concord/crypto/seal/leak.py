"""How much the released sums of many rounds tell of one member: its leak score.

    A   = 0/1 matrix, one row per released survivor set      w_k = row i of A^+, one per set
    rho = |mean of own updates|^2 / mean |own update|^2
    SNR = rho / ((1 - rho) sum_k w_k^2 |U_k|)                score = sqrt(SNR / (1 + SNR))

The score is the correlation of the best linear estimate of a member's mean update with the truth,
if members' updates are independent and as strong as one's own. It is 0 if no combination of the
sums isolates the member. A member computes it at home before it contributes, and declines above
the charter's limit.

Source: least squares over released sums, after So et al. 2021 (arXiv 2106.03328).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from concord.base.errors import SealRefused

DEFAULT_LIMIT = 0.4
_TOLERANCE = 1e-9


def leak_score(released: Sequence[Sequence[int]], me: int, rho: float) -> float:
    """The score of member `me`, between 0 and 1.

    Args:
        released: Survivor sets of all released sums, as indices of members; the sets of several
            cohorts or epochs need one numbering.
        me: My number there.
        rho: Share of my updates' energy that stays the same from round to round, in [0, 1].

    Raises:
        SealRefused: `rho` is not in [0, 1].
    """
    if not 0.0 <= rho <= 1.0:
        raise SealRefused(f"{rho} is not between 0 and 1", where="rho")
    sets = [tuple(sorted(set(survivors))) for survivors in released]
    if not any(me in survivors for survivors in sets) or rho == 0.0:
        return 0.0
    noise = _noise(sets, me)
    if math.isinf(noise):
        return 0.0
    if rho == 1.0:
        return 1.0
    snr = rho / ((1.0 - rho) * noise)
    return math.sqrt(snr / (1.0 + snr))


def _noise(sets: Sequence[tuple[int, ...]], me: int) -> float:
    """sum_k w_k^2 |U_k|, or infinity if no combination of the sums gives `me` alone."""
    members = sorted({member for survivors in sets for member in survivors})
    column = {member: number for number, member in enumerate(members)}
    sums_KN = np.zeros((len(sets), len(members)))
    for row, survivors in enumerate(sets):
        sums_KN[row, [column[member] for member in survivors]] = 1.0
    target_N = np.zeros(len(members))
    target_N[column[me]] = 1.0
    weights_K = np.linalg.pinv(sums_KN)[column[me]]
    if np.abs(weights_K @ sums_KN - target_N).max() > _TOLERANCE * len(members):
        return math.inf
    sizes_K = sums_KN.sum(axis=1)
    return float((weights_K**2 * sizes_K).sum())
