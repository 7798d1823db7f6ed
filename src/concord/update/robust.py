"""Merge rules that stand some hostile updates, and what each does to honest minorities.

With updates x_1 … x_n, f of them thought hostile, |.| the norm over all weights:

    coordinate_median   median of each coordinate
    trimmed_mean        mean of each coordinate without its f smallest and f largest
    krum                the x_i with the least sum of squared distances to its n - f - 1 nearest
    multi_krum          mean of the n - f updates with the least such sums
    nnm_trimmed_mean    each x_i replaced by the mean of its n - f nearest (itself included),
                        then trimmed_mean
    geometric_median    argmin_z sum |x_i - z|, by Weiszfeld's iteration from z = 0
    centred_clipping    z <- z + mean (x_i - z) min(1, tau / |x_i - z|), from z = 0, tau the lower
                        median of |x_i - z|

All but the first two are functions of the inner products <x_i, x_j>: they come to numbers per
update, with which the updates are then summed as the mean sums them. Nobody's weight counts here,
one update is one vote; ties go to the member whose id comes first.

Sources: Yin et al. 2018 (arXiv 1803.01498); Blanchard et al. 2017 (1703.02757), with n - f - 1
neighbours as Allouah et al. 2023 (2302.01772) have it, who also give NNM; Pillutla et al. 2019
(1912.13445); Karimireddy et al. 2021 (2012.10333).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from concord.base.tensors import FloatArray

Gram = Sequence[Sequence[float]]
"""Inner product of each pair of updates."""
WEISZFELD_STEPS = 8
CLIPPING_STEPS = 3
SMALLEST_SHARE = 1e-6
"""Weiszfeld: distances below this share of the largest norm count as this (smoothing)."""


def least_updates(rule: str, hostile: int) -> int:
    """Updates that a rule needs so that it can stand `hostile` ones."""
    return 2 * hostile + 1 if rule in ROBUST else 1


def kept_updates(rule: str, updates: int, hostile: int) -> int:
    """How many updates share what a rule gives, at the least: its largest share is one in these."""
    if rule == "krum":
        return 1
    return updates - hostile if rule == "multi_krum" else updates


# --- rules that come to one coefficient per update ----------------------------------------------


def krum(gram: Gram, hostile: int) -> list[float]:
    """1 for the chosen update, 0 for the others."""
    return _equal(_by_score(gram, hostile)[:1], len(gram))


def multi_krum(gram: Gram, hostile: int) -> list[float]:
    """The same share for each of the n - f chosen updates."""
    return _equal(_by_score(gram, hostile)[: len(gram) - hostile], len(gram))


def geometric_median(
    gram: Gram, _: int = 0, *, steps: int = WEISZFELD_STEPS, smallest: float | None = None
) -> list[float]:
    """Shares of the updates in their (smoothed) geometric median."""
    count = len(gram)
    if smallest is None:
        smallest = SMALLEST_SHARE * math.sqrt(max(gram[i][i] for i in range(count)))
    shares = [0.0] * count
    for _step in range(steps):
        distances = [max(smallest, d) for d in _distances_to(gram, shares)]
        if not all(distances):  # all updates are zero
            return [1.0 / count] * count
        pulls = [1.0 / d for d in distances]
        total = math.fsum(pulls)
        shares = [pull / total for pull in pulls]
    return shares


def centred_clipping(
    gram: Gram, _: int = 0, *, steps: int = CLIPPING_STEPS, tau: float | None = None
) -> list[float]:
    """Coefficients of the updates in the clipped mean around its own centre."""
    count = len(gram)
    centre = [0.0] * count
    for _step in range(steps):
        distances = _distances_to(gram, centre)
        radius = statistics.median_low(distances) if tau is None else tau
        factors = [min(1.0, radius / d) if d > 0 else 1.0 for d in distances]
        left = 1.0 - math.fsum(factors) / count
        centre = [a * left + factor / count for a, factor in zip(centre, factors, strict=True)]
    return centre


# --- rules that work on each coordinate ---------------------------------------------------------


def trimmed_mean(values_MN: FloatArray, hostile: int) -> FloatArray:
    """Mean of each column without its `hostile` smallest and largest values."""
    kept_KN = _sorted(values_MN)[hostile : len(values_MN) - hostile]
    return _mean(kept_KN)


def coordinate_median(values_MN: FloatArray, _: int = 0) -> FloatArray:
    """Median of each column; the mean of the middle two where there are two."""
    middle = (len(values_MN) - 1) // 2
    return _mean(_sorted(values_MN)[middle : len(values_MN) - middle])


def nearest(gram: Gram, hostile: int) -> list[list[int]]:
    """For each update the n - f nearest ones, itself included, in order of members (NNM)."""
    count = len(gram)
    squares = _squared_distances(gram)
    return [
        sorted(sorted(range(count), key=lambda j: (row[j], j))[: count - hostile])
        for row in squares
    ]


def mixed(values_MN: FloatArray, neighbours: Sequence[Sequence[int]]) -> FloatArray:
    """Each update replaced by the mean of its neighbours."""
    return np.stack([_mean(values_MN[list(those)]) for those in neighbours])


def _sorted(values_MN: FloatArray) -> FloatArray:
    # Minus zero would sort among zeros as the machine likes.
    return np.sort(values_MN + np.float32(0), axis=0)


def _mean(values_KN: FloatArray) -> FloatArray:
    """Sum in order, then one product: the same bits everywhere."""
    total_N: FloatArray = values_KN[0].copy()
    for values_N in values_KN[1:]:
        np.add(total_N, values_N, out=total_N)
    total_N *= np.float32(1.0 / len(values_KN))
    return total_N


# --- inner products -----------------------------------------------------------------------------


def inner_products(windows: Iterator[FloatArray], members: int) -> NDArray[np.float64]:
    """<x_i, x_j> over windows of all members' values (a row each), in float64.

    Products of float32 are exact there. They are halved as `sums.tree_sum` does it, and the
    windows' sums added in order, so that all machines get the same bits. Memory: two windows of
    all members; time grows with the square of their number.
    """
    gram_MM = np.zeros((members, members), np.float64)
    for values_MN in windows:
        wide_MN = values_MN.astype(np.float64)
        for number in range(members):
            found_M = _halved(wide_MN[number:] * wide_MN[number])
            gram_MM[number, number:] += found_M
            gram_MM[number + 1 :, number] += found_M[1:]
    return gram_MM


def _halved(values_MN: NDArray[np.float64]) -> NDArray[np.float64]:
    size = values_MN.shape[1]
    count = 1 << max(size - 1, 0).bit_length()
    while count > 1:
        count //= 2
        if size > count:  # zeros that would fill it up change no sum but the sign of a zero
            values_MN[:, : size - count] += values_MN[:, count:size]
            size = count
    return values_MN[:, 0] + 0.0


def _squared_distances(gram: Gram) -> list[list[float]]:
    count = range(len(gram))
    return [[max(0.0, gram[i][i] + gram[j][j] - 2.0 * gram[i][j]) for j in count] for i in count]


def _distances_to(gram: Gram, shares: Sequence[float]) -> list[float]:
    """|x_i - sum_j a_j x_j| for each i."""
    count = range(len(gram))
    against = [math.fsum(shares[j] * gram[i][j] for j in count) for i in count]
    centre = math.fsum(shares[i] * against[i] for i in count)
    return [math.sqrt(max(0.0, gram[i][i] - 2.0 * against[i] + centre)) for i in count]


def _by_score(gram: Gram, hostile: int) -> list[int]:
    """Numbers of the updates, the one nearest to its neighbours first."""
    count = len(gram)
    scores = []
    for number, row in enumerate(_squared_distances(gram)):
        others = sorted(d for other, d in enumerate(row) if other != number)
        scores.append(math.fsum(others[: max(count - hostile - 1, 1)]))
    return sorted(range(count), key=lambda number: (scores[number], number))


def _equal(chosen: Sequence[int], count: int) -> list[float]:
    return [1.0 / len(chosen) if number in chosen else 0.0 for number in range(count)]


BY_COEFFICIENTS: Final[Mapping[str, Callable[[Gram, int], list[float]]]] = {
    "krum": krum,
    "multi_krum": multi_krum,
    "geometric_median": geometric_median,
    "centred_clipping": centred_clipping,
}
BY_COORDINATE: Final[Mapping[str, Callable[[FloatArray, int], FloatArray]]] = {
    "trimmed_mean": trimmed_mean,
    "coordinate_median": coordinate_median,
    "nnm_trimmed_mean": trimmed_mean,
}
ROBUST: Final = frozenset({*BY_COEFFICIENTS, *BY_COORDINATE})
