"""Whether one voting rule is at least as strict as another: what passes by it, passes by both."""

from __future__ import annotations

import numpy as np

from concord.charter.game import Game, refuse_above_masks, winning_masks


def implies(one: Game, other: Game) -> bool:
    """Whether every coalition that wins in `one` also wins in `other`.

    Raises:
        CharterError: there are more than 20 players, and clauses that weigh them differently.
    """
    both = one.both(other)
    if both.weighs_alike:
        return all(_implies_at(size, one, other) for size in range(len(one.players) + 1))
    refuse_above_masks(both)
    return not bool(np.any(winning_masks(one) & ~winning_masks(other)))


def _implies_at(size: int, one: Game, other: Game) -> bool:
    """The same for coalitions of one size, where one weight of each player serves both games."""
    weights = one.both(other).weights
    ordered = sorted(weights)
    lightest, heaviest = sum(ordered[:size]), sum(ordered[len(ordered) - size :])
    if size < one.heads or one.needs(size) > heaviest:
        return True
    if size < other.heads:
        return False
    least, below = one.needs(size), other.needs(size)
    if lightest >= below or least >= below:
        return True
    if least <= lightest or heaviest < below:
        return False
    return not _some_sum_between(weights, size, least, below)


def _some_sum_between(weights: tuple[int, ...], size: int, least: int, below: int) -> bool:
    """Whether some `size` of the weights add up to `least` or more, and less than `below`.

    Sums that can be reached are bits of an integer, one for each number of weights.
    """
    sums = [1] + [0] * size
    for number, weight in enumerate(weights):
        for heads in range(min(number + 1, size), 0, -1):
            sums[heads] |= sums[heads - 1] << weight
    return bool((sums[size] >> least) & ((1 << (below - least)) - 1))
