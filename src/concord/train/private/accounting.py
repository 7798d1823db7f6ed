"""How much of a privacy budget steps of DP-SGD spend: Google's `dp-accounting`, asked in our terms.

A step draws each document by itself with probability q, adds their gradients, each of norm at most
C, and normal noise of deviation z·C. Steps compose by their privacy loss distributions, rounded up
on a grid of `GRID`: the ε that comes out is never below the true one. Two data sets are
neighbours if one has one document more than the other.

Sources: Abadi et al. 2016; Koskela, Jälkö, Honkela 2020; Doroshenko et al. 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concord.base.errors import DocumentError

GRID = 1e-3
GRID_STEPS = 1000
"""Of a budget, at most, while noise for it is looked for."""
MAX_NOISE = 1e4
_TOLERANCE = 1e-3


@dataclass(frozen=True, order=True)
class SampledNoise:
    """One step's mechanism: z, deviation of the noise over the clip norm; q, the sampling rate."""

    noise_multiplier: float
    sampling_rate: float


Spent = Mapping[SampledNoise, int]
"""Steps that were taken of each mechanism."""


def epsilon(spent: Spent, delta: float, *, grid: float = GRID) -> float:
    """Smallest ε for which all these steps together are (ε, δ)-differentially private.

    Args:
        grid: A coarser one is faster, and finds a larger ε.

    Raises:
        DocumentError: `dp-accounting` is not installed.
    """
    taken = {how: steps for how, steps in spent.items() if steps}
    if not taken:
        return 0.0
    if any(how.noise_multiplier <= 0 for how in taken):
        return math.inf
    accountant = _accounting().pld.PLDAccountant(value_discretization_interval=grid)
    for how, steps in sorted(taken.items()):
        accountant.compose(_event(how), steps)
    return float(accountant.get_epsilon(delta))


def after(spent: Spent, how: SampledNoise, steps: int) -> dict[SampledNoise, int]:
    """What will have been spent once `steps` more are taken."""
    return {**spent, how: spent.get(how, 0) + steps}


def noise_for(max_epsilon: float, delta: float, *, sampling_rate: float, steps: int) -> float:
    """Least noise multiplier, to about a thousandth, with which `steps` steps stay in a budget.

    Raises:
        DocumentError: no noise is enough, or `dp-accounting` is not installed.
    """
    too_little, enough = 0.0, 0.5
    while not _fits(enough, max_epsilon, delta, sampling_rate, steps):
        too_little, enough = enough, enough * 2
        if enough > MAX_NOISE:
            raise DocumentError(
                f"no noise makes {steps:,} steps fit a budget of epsilon {max_epsilon:g}",
                where="max_epsilon",
                remedy="raise the budget, or do not train on this text",
            )
    while enough - too_little > _TOLERANCE * enough:
        middle = (too_little + enough) / 2
        if _fits(middle, max_epsilon, delta, sampling_rate, steps):
            enough = middle
        else:
            too_little = middle
    return enough


def gaussian_delta(epsilon_: float, noise_multiplier: float, steps: int) -> float:
    """δ of `steps` steps in which everybody takes part, in closed form.

        μ = √steps / z,   δ(ε) = Φ(−ε/μ + μ/2) − e^ε·Φ(−ε/μ − μ/2)

    Source: Balle and Wang 2018, theorem 8; composition after Dong, Roth, Su 2019.
    """
    mu = math.sqrt(steps) / noise_multiplier
    first = _normal_cdf(-epsilon_ / mu + mu / 2)
    return first - math.exp(epsilon_) * _normal_cdf(-epsilon_ / mu - mu / 2)


def noise_for_everybody(max_epsilon: float, delta: float, *, steps: int) -> float:
    """Noise multiplier that hides whether a member that is in every round takes part at all."""
    low, high = 1e-3, 1e6
    while high / low > 1 + 1e-6:
        middle = math.sqrt(low * high)
        if gaussian_delta(max_epsilon, middle, steps) > delta:
            low = middle
        else:
            high = middle
    return high


def noise_to_signal(noise_multiplier: float, *, parameters: int, documents: float) -> float:
    """Norm of the noise over the norm of the clipped sum, were all its gradients alike.

    z·√d / B
    """
    return noise_multiplier * math.sqrt(parameters) / documents


def _fits(noise: float, max_epsilon: float, delta: float, rate: float, steps: int) -> bool:
    grid = max(GRID, max_epsilon / GRID_STEPS)
    return epsilon({SampledNoise(noise, rate): steps}, delta, grid=grid) <= max_epsilon


def _normal_cdf(value: float) -> float:
    return math.erfc(-value / math.sqrt(2)) / 2


def _event(how: SampledNoise) -> Any:
    events = _accounting()
    gaussian = events.GaussianDpEvent(how.noise_multiplier)
    if how.sampling_rate >= 1:
        return gaussian
    return events.PoissonSampledDpEvent(how.sampling_rate, gaussian)


def _accounting() -> Any:
    try:
        import dp_accounting
        import dp_accounting.pld
    except ModuleNotFoundError as error:
        raise DocumentError(
            f"counting a privacy budget needs {error.name}, which is not installed",
            remedy="pip install 'concord[privacy]'",
        ) from error
    return dp_accounting
