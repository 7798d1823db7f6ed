"""What many sums tell of one member: the score agrees with least squares done by an attacker."""

from __future__ import annotations

import numpy as np
import pytest

from concord.base.errors import SealRefused
from concord.crypto.seal import leak_score

FULL = tuple(range(8))


def without(member: int) -> tuple[int, ...]:
    return tuple(i for i in FULL if i != member)


@pytest.mark.parametrize(("drop_outs", "score"), [(1, 0.18), (5, 0.37), (20, 0.57)])
def test_drop_outs_raise_the_score_as_specified(drop_outs: int, score: float) -> None:
    released = [FULL] * 50 + [without(3)] * drop_outs
    assert leak_score(released, 3, 0.2) == pytest.approx(score, abs=0.005)


def redrawn(members: int, size: int, rounds: int, seed: int) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        order = rng.permutation(members)
        found += [tuple(order[at : at + size]) for at in range(0, members, size)]
    return found


def test_cohorts_drawn_anew_every_round_give_everything_away() -> None:
    scores = [leak_score(redrawn(32, 8, 500, seed), 0, 0.2) for seed in range(2)]
    assert np.mean(scores) == pytest.approx(0.96, abs=0.01)


def test_the_score_is_what_an_attacker_reaches() -> None:
    """A15: members' mean updates by least squares over the released sums."""
    members, rounds, values, rho = 32, 50, 2000, 0.2
    rng = np.random.default_rng(4)
    same = rng.standard_normal((members, values)) * np.sqrt(rho)
    sets = redrawn(members, 8, rounds, 9)
    rows = np.zeros((len(sets), members))
    sums = np.zeros((len(sets), values))
    for row, survivors in enumerate(sets):
        rows[row, list(survivors)] = 1
        fresh = rng.standard_normal((len(survivors), values)) * np.sqrt(1 - rho)
        sums[row] = (same[list(survivors)] + fresh).sum(axis=0)
    guess = np.linalg.pinv(rows) @ sums
    reached = [np.corrcoef(guess[i], same[i])[0, 1] for i in range(members)]
    scores = [leak_score(sets, i, rho) for i in range(members)]
    assert np.mean(reached) == pytest.approx(np.mean(scores), abs=0.01)
    assert np.mean(scores) == pytest.approx(0.706, abs=0.01)


def test_fixed_cohorts_isolate_nobody() -> None:
    released = [FULL] * 100 + [tuple(range(8, 16))] * 100
    assert all(leak_score(released, member, 0.9) == 0.0 for member in range(16))


def test_restart_differencing_shows_in_the_score() -> None:
    assert leak_score([FULL, without(5)], 5, 0.99) > 0.9
    assert leak_score([FULL, without(5)], 4, 0.99) == 0.0


@pytest.mark.parametrize(("released", "rho", "score"), [
    ([], 0.5, 0.0), ([FULL], 0.0, 0.0), ([(0,)], 1.0, 1.0), ([(1, 2)], 0.5, 0.0),
])  # fmt: skip
def test_edges(released, rho: float, score: float) -> None:
    assert leak_score(released, 0, rho) == score


@pytest.mark.parametrize("rho", [-0.1, 1.1, float("nan")])
def test_a_share_of_energy_is_between_0_and_1(rho: float) -> None:
    with pytest.raises(SealRefused):
        leak_score([FULL], 0, rho)
