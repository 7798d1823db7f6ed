"""Who can pass, block, or change nothing under a voting rule.

Power is Banzhaf's: the number of coalitions that win with a voter and lose without it, as a share
of all voters' such numbers. A voter with power 0 is powerless: its vote never matters.

Source: Penrose 1946; Banzhaf 1965, "Weighted voting doesn't work".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from concord.base.errors import CharterError
from concord.charter.game import (
    Game,
    coalition_sums,
    count,
    game_of,
    refuse_above_masks,
    swing,
    winning_masks,
)
from concord.charter.rules import Elector, Rule, electorate
from concord.charter.strictness import implies


@dataclass(frozen=True)
class Weaknesses:
    """Voters who have too much power, or none."""

    passes_alone: tuple[str, ...]
    blocks_alone: tuple[str, ...]
    """By voting against, or by staying away so that the quorum is missed."""
    powerless: tuple[str, ...]


@dataclass(frozen=True)
class PowerReport:
    """What a rule means for its voters."""

    voters: tuple[str, ...]
    weaknesses: Weaknesses
    banzhaf: Mapping[str, Fraction] | None
    """Shares of power, adding up to 1; None where coalitions are too many to count."""
    smallest_passing: tuple[str, ...]
    smallest_blocking: tuple[str, ...]
    smallest_absence: int
    """So many who stay away make the quorum fail."""
    dead_keys: tuple[str, ...]
    """Keys that decide nothing: without them the same coalitions win."""


def weaknesses(rule: Rule, electors: Sequence[Elector], subject: str | None = None) -> Weaknesses:
    """Look for voters who decide alone, block alone, or never matter.

    Raises:
        CharterError: nobody votes, a number is missing, or the rule is too large to judge.
    """
    voters = _voters(rule, electors, subject)
    return _weaknesses(rule, game_of(rule, voters))


def analyse(rule: Rule, electors: Sequence[Elector], subject: str | None = None) -> PowerReport:
    """Weaknesses, power of each voter, smallest coalitions and dead keys of a rule.

    Raises:
        CharterError: nobody votes, a number is missing, or there are more than 20 voters and keys
            that weigh them in more than one way.
    """
    voters = _voters(rule, electors, subject)
    game = game_of(rule, voters)
    passing, blocking = _smallest(game)
    return PowerReport(
        voters=game.players,
        weaknesses=_weaknesses(rule, game),
        banzhaf=_banzhaf(game) if game.countable else None,
        smallest_passing=tuple(sorted(game.players[i] for i in passing)),
        smallest_blocking=tuple(sorted(game.players[i] for i in blocking)),
        smallest_absence=len(voters) - max(rule.quorum_of(len(voters)), 1) + 1,
        dead_keys=_dead_keys(rule, voters, game),
    )


def _voters(rule: Rule, electors: Sequence[Elector], subject: str | None) -> tuple[Elector, ...]:
    voters = electorate(rule, electors, subject)
    if not voters:
        raise CharterError("nobody may vote by this rule")
    return voters


def _weaknesses(rule: Rule, game: Game) -> Weaknesses:
    everyone = range(len(game.players))
    by_absence = rule.quorum_of(len(game.players)) >= len(game.players)
    return Weaknesses(
        passes_alone=tuple(game.players[i] for i in everyone if game.wins((i,))),
        blocks_alone=tuple(
            game.players[i]
            for i in everyone
            if by_absence or not game.wins([j for j in everyone if j != i])
        ),
        powerless=_powerless(game),
    )


def _powerless(game: Game) -> tuple[str, ...]:
    if not game.clauses:
        return () if swing(game, 0) is not None else game.players
    suspects = [i for i in range(len(game.players)) if swing(game, i) is None]
    if suspects:
        swings = count(game).swings
        suspects = [i for i in suspects if not swings[i]]
    return tuple(game.players[i] for i in suspects)


def _banzhaf(game: Game) -> dict[str, Fraction]:
    swings = count(game).swings
    return {
        player: Fraction(number, sum(swings))
        for player, number in zip(game.players, swings, strict=True)
    }


def _smallest(game: Game) -> tuple[Sequence[int], Sequence[int]]:
    """Smallest coalitions that win, and that win against all others' votes by refusing.

    Where all clauses weigh alike the heaviest of each number are the strongest.
    """
    everyone = range(len(game.players))
    if game.weighs_alike:
        order = sorted(everyone, key=lambda i: -game.weights[i])
        passing = next(size for size in range(len(order) + 1) if game.wins(order[:size]))
        blocking = next(size for size in range(len(order) + 1) if not game.wins(order[size:]))
        return order[:passing], order[:blocking]
    refuse_above_masks(game)
    wins, sizes = winning_masks(game), coalition_sums([1] * len(game.players))
    passing = int(np.where(wins, sizes, len(wins)).argmin())
    blocking = int(np.where(wins, -1, sizes).argmax()) ^ (len(wins) - 1)
    return [i for i in everyone if passing >> i & 1], [i for i in everyone if blocking >> i & 1]


def _dead_keys(rule: Rule, voters: Sequence[Elector], game: Game) -> tuple[str, ...]:
    if len(rule.all) == 1:
        return ()
    without = [
        (key, game_of(rule, voters, [other for other in rule.all if other is not key]))
        for key in rule.all
    ]
    return tuple(key.title for key, rest in without if implies(rest, game))
