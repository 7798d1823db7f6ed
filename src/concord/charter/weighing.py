"""How much each elector counts under one key of a rule: shares of 1, exact, capped."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt

from concord.base.errors import CharterError
from concord.base.shares import cap_shares
from concord.charter.rules import Elector, Key, Measure


def weight(elector: Elector, by: Measure) -> int:
    """An elector's weight before the cap, a whole number above 0.

    Square roots are whole: `isqrt(n)` is the largest integer whose square is not above n.

    Raises:
        CharterError: the elector's number is not stated.
    """
    if by == "one":
        return 1
    name = by.removeprefix("sqrt:")
    count = elector.speakers if name == "speakers" else elector.population
    if not count:
        raise CharterError(
            f"has no number of {name}, which the rule counts by",
            where=elector.id,
            remedy="state it in the member's admission",
        )
    return isqrt(count) if by.startswith("sqrt:") else count


def shares(key: Key, voters: Sequence[Elector]) -> dict[str, Fraction]:
    """Share of each voter under a key; they add up to 1.

    Raises:
        CharterError: a voter's number is not stated.
    """
    weights = {voter.id: weight(voter, key.by) for voter in voters}
    total = sum(weights.values())
    if cap_is_raised(key, len(voters)):
        return {name: Fraction(1, len(voters)) for name in weights}
    return cap_shares({name: Fraction(w, total) for name, w in weights.items()}, key.cap)


def cap_is_raised(key: Key, count: int) -> bool:
    """Whether so few vote that the cap cannot hold, and is raised to equal shares."""
    return count * key.cap < 1
