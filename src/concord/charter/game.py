"""A voting rule as a simple game: which coalitions win, and how many of them need whom.

A coalition wins if the proposal is adopted when its members vote in favour and all others vote
against. Weights become whole numbers in the proportion of the exact shares, so no sum rounds.
Up to 20 voters all coalitions are enumerated as bit masks; above, they are counted by generating
functions: the coefficient of x^w in Π(1 + x^(w_i)) is the number of coalitions of weight w.

Source of the method: Brams and Affuso 1976; Bilbao et al. 2000, "Generating functions for
computing power indices efficiently", section 3.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from math import gcd, lcm

import numpy as np

from concord.base.errors import CharterError
from concord.charter.rules import Elector, Key, Rule
from concord.charter.weighing import shares

MASKS_UP_TO = 20
MAX_POLYNOMIAL_BYTES = 16 << 20
"""Of one generating function; above, coalitions are not counted. Some 40 voters by square roots."""


@dataclass(frozen=True)
class Clause:
    """Weights of which a coalition needs so much."""

    weights: tuple[int, ...]
    need: int
    waived_from: int
    """Heads from which the clause need not hold (blocking minority)."""


@dataclass(frozen=True)
class Game:
    """Least number of heads, and clauses that must hold beside it."""

    players: tuple[str, ...]
    heads: int
    clauses: tuple[Clause, ...]

    def wins(self, coalition: Collection[int]) -> bool:
        """Whether these players, by index, are enough."""
        count = len(coalition)
        return count >= self.heads and all(
            count >= clause.waived_from or sum(clause.weights[i] for i in coalition) >= clause.need
            for clause in self.clauses
        )

    def needs(self, count: int) -> int:
        """Weight that a coalition of so many heads needs, where all clauses weigh alike."""
        return max((c.need for c in self.clauses if count < c.waived_from), default=0)

    @cached_property
    def weighs_alike(self) -> bool:
        """Whether no two clauses weigh differently, so that one order of players fits all."""
        return len({clause.weights for clause in self.clauses}) <= 1

    @cached_property
    def weights(self) -> tuple[int, ...]:
        """The one weight of each player; only where all clauses weigh alike."""
        return self.clauses[0].weights if self.clauses else (0,) * len(self.players)

    @cached_property
    def countable(self) -> bool:
        """Whether the number of winning coalitions can be found within bounds of memory."""
        if len(self.players) <= MASKS_UP_TO:
            return True
        bits = (sum(self.weights) + 1) * (len(self.players) + 1) * (len(self.players) + 1)
        return self.weighs_alike and bits <= 8 * MAX_POLYNOMIAL_BYTES

    def both(self, other: Game) -> Game:
        """The game whose coalitions win in both; players must be the same."""
        heads, clauses = max(self.heads, other.heads), self.clauses + other.clauses
        return replace(self, heads=heads, clauses=clauses)


@dataclass(frozen=True)
class Counts:
    """Numbers of winning coalitions: all, and those that hold each player."""

    all: int
    with_player: tuple[int, ...]

    @property
    def swings(self) -> tuple[int, ...]:
        """Coalitions that win with a player and lose without it; more is never fewer here."""
        return tuple(2 * held - self.all for held in self.with_player)


def game_of(rule: Rule, voters: Sequence[Elector], keys: Sequence[Key] | None = None) -> Game:
    """The game that a rule makes of its voters; `keys` takes some of its keys only.

    Raises:
        CharterError: a voter lacks a number that a key counts by.
    """
    count = len(voters)
    used = rule.all if keys is None else keys
    heads = [key.needed(count) for key in used if key.by == "one"]
    if rule.veto is not None:
        heads.append(count - rule.veto + 1)
    waived_from = count + 1 if rule.blocking is None else count - rule.blocking + 1
    clauses = tuple(_clause(key, voters, waived_from) for key in used if key.by != "one")
    return Game(tuple(voter.id for voter in voters), max([0, *heads]), clauses)


def _clause(key: Key, voters: Sequence[Elector], waived_from: int) -> Clause:
    share = shares(key, voters)
    whole = lcm(*(s.denominator for s in share.values()))
    weights = [int(share[voter.id] * whole) for voter in voters]
    common = gcd(*weights)
    weights = [weight // common for weight in weights]
    return Clause(tuple(weights), key.needed(sum(weights)), waived_from)


def count(game: Game) -> Counts:
    """Count winning coalitions.

    Raises:
        CharterError: there are too many to count.
    """
    if not game.countable:
        raise CharterError(f"coalitions of {len(game.players)} voters are too many to count")
    if len(game.players) <= MASKS_UP_TO and game.clauses:
        return count_by_masks(game)
    return count_by_polynomials(game)


def winning_masks(game: Game) -> np.ndarray:
    """Whether each coalition wins, bool[2^n]; bit i of the index is player i."""
    heads = coalition_sums([1] * len(game.players))
    wins = heads >= game.heads
    for clause in game.clauses:
        wins &= (coalition_sums(clause.weights) >= clause.need) | (heads >= clause.waived_from)
    return wins


def coalition_sums(weights: Sequence[int]) -> np.ndarray:
    """Weight of each coalition, int64[2^n].

    Raises:
        CharterError: the weights are too large.
    """
    if sum(weights) >= 2**62:
        raise CharterError("weights have no common measure below 2^62", remedy="simplify the cap")
    sums = np.zeros(1, dtype=np.int64)
    for weight in weights:
        sums = np.concatenate([sums, sums + weight])
    return sums


def count_by_masks(game: Game) -> Counts:
    """Count by enumerating all coalitions."""
    wins = winning_masks(game)
    held = (wins.reshape(-1, 2, 1 << i)[:, 1].sum() for i in range(len(game.players)))
    return Counts(int(wins.sum()), tuple(int(number) for number in held))


def count_by_polynomials(game: Game) -> Counts:
    """Count by generating functions, one for each number of heads.

    A polynomial is one large integer, its coefficients in slots of n + 1 bits: multiplying by
    x^w is a shift, and a number modulo 2^b - 1 is the sum of its slots of b bits.
    """
    slot = len(game.players) + 1
    whole = [1] + [0] * len(game.players)
    for number, weight in enumerate(game.weights):
        for heads in range(number + 1, 0, -1):
            whole[heads] += whole[heads - 1] << weight * slot
    total = _winners(game, whole)
    held = tuple(total - _winners(game, _without(whole, w, slot)) for w in game.weights)
    return Counts(total, held)


def _without(whole: Sequence[int], weight: int, slot: int) -> list[int]:
    """Divide by (1 + y·x^weight), y counting heads."""
    rest = [whole[0]]
    for heads in range(1, len(whole)):
        rest.append(whole[heads] - (rest[heads - 1] << weight * slot))
    return rest


def _winners(game: Game, polynomials: Sequence[int]) -> int:
    slot = len(game.players) + 1
    return sum(
        (polynomials[heads] >> game.needs(heads) * slot) % ((1 << slot) - 1)
        for heads in range(game.heads, len(polynomials))
    )


def refuse_above_masks(game: Game) -> None:
    """Refuse what can only be answered by looking at every coalition.

    Raises:
        CharterError: there are more than 20 voters.
    """
    if len(game.players) > MASKS_UP_TO:
        raise CharterError(
            f"keys that weigh {len(game.players)} voters in more than one way cannot be judged",
            remedy=f"use one weighted key above {MASKS_UP_TO} voters",
        )


def swing(game: Game, player: int) -> tuple[int, ...] | None:
    """A coalition that loses and wins once `player` joins, if one is found quickly.

    Tries the heaviest and the lightest others, of every number. None proves nothing, but where no
    clause weighs: there all players are alike.
    """
    others = [i for i in range(len(game.players)) if i != player]
    for weights in {clause.weights for clause in game.clauses} or {game.weights}:
        ordered = sorted(others, key=lambda i: weights[i])
        for chain in (ordered[::-1], ordered):
            size = _swing_size(game, player, chain)
            if size is not None:
                return tuple(chain[:size])
    return None


def _swing_size(game: Game, player: int, chain: Sequence[int]) -> int | None:
    """How many of a chain lose, and win once `player` joins: winning grows along a chain."""
    sums = [list(accumulate((c.weights[i] for i in chain), initial=0)) for c in game.clauses]

    def wins(size: int, joined: int) -> bool:
        heads = size + joined
        return heads >= game.heads and all(
            heads >= clause.waived_from
            or total[size] + joined * clause.weights[player] >= clause.need
            for clause, total in zip(game.clauses, sums, strict=True)
        )

    size = bisect_left(range(len(chain)), True, key=lambda number: wins(number, 1))
    return None if wins(size, 0) or not wins(size, 1) else size
