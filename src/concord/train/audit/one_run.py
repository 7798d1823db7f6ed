"""How much privacy one training run provably did *not* have: a lower bound on ε.

Each of m canaries was in the text or not by a fair coin. From their scores r guesses are made. If
training were (ε, δ)-differentially private, then for every v

    P(at least v right) ≤ β + 2·m·δ·α,    β = P(Binomial(r, e^ε/(1+e^ε)) ≥ v),
                                          α = max_i (P(Binomial ≥ v − i) − β) / i

The largest ε that the guesses refute at the significance is the bound. It holds whatever the
attack; a weak attack only finds less. Even a perfect one cannot show more than some ε, since m
coins are all it has.

Source: Steinke, Nasr, Jagielski 2023, "Privacy auditing with one (1) training run", theorem 5.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIGNIFICANCE = 0.05
DELTA = 1e-5
GUESSED_SHARES = (1.0, 0.5, 0.25, 0.1)
"""Of the canaries; those are guessed whose scores are the highest and the lowest."""
MAX_EPSILON = 30.0

Scores = NDArray[np.float64]


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Chance of so many right guesses, at most, if training were (ε, δ)-private."""
    tail = _tails(guesses, 1 / (1 + math.exp(-epsilon)))
    beta = float(tail[right])
    if delta == 0 or right == 0:
        return min(1.0, beta)
    steps = np.arange(1, right + 1)
    alpha = float(np.max((tail[right - steps] - beta) / steps))
    return min(1.0, beta + alpha * delta * 2 * canaries)


def epsilon_refuted(
    canaries: int,
    guesses: int,
    right: int,
    *,
    significance: float = SIGNIFICANCE,
    delta: float = DELTA,
) -> float:
    """Largest ε, to 1e-4, that `right` of `guesses` refute; 0 if they refute none."""

    def refuted(epsilon: float) -> bool:
        return p_value(canaries, guesses, right, epsilon, delta) <= significance

    if not guesses or not refuted(0.0):
        return 0.0
    low, high = 0.0, MAX_EPSILON
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def epsilon_one_run(
    inside: Sequence[float] | Scores,
    outside: Sequence[float] | Scores,
    *,
    significance: float = SIGNIFICANCE,
    delta: float = DELTA,
) -> float:
    """Lower bound on ε from scores: the higher, the more the canary seems to have been trained on.

    The k highest are guessed to be in and the k lowest to be out, for each k of `GUESSED_SHARES`;
    the best counts, and the significance is divided by their number (Bonferroni).

    Args:
        inside: Scores of the canaries that were in.
        outside: Scores of those that were not.
    """
    scores = np.concatenate([np.asarray(inside, float), np.asarray(outside, float)])
    was_in = np.arange(len(scores)) < len(inside)
    # Ties fall to the attack's disadvantage: those that were out come first among the highest.
    order = np.lexsort((was_in, -scores))
    best = 0.0
    for share in GUESSED_SHARES:
        k = int(len(scores) * share / 2)
        right = int(was_in[order[:k]].sum() + (~was_in[order[len(scores) - k :]]).sum())
        level = significance / len(GUESSED_SHARES)
        found = epsilon_refuted(len(scores), 2 * k, right, significance=level, delta=delta)
        best = max(best, found)
    return best


def _tails(count: int, chance: float) -> NDArray[np.float64]:
    """[count + 2] P(Binomial(count, chance) ≥ v) for v = 0 … count + 1."""
    v = np.arange(count + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    choose = factorials[count] - factorials[v] - factorials[count - v]
    log_mass = choose + v * math.log(chance) + (count - v) * math.log1p(-chance)
    tails = np.cumsum(np.exp(log_mass)[::-1])[::-1]
    return np.append(np.minimum(tails, 1.0), 0.0)
