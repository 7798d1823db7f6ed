"""How much each accepted update counts: the charter's weights, capped per legal owner, exactly.

Weights are fractions, so that the cap is a fact and not a rounding. They come from the charter
alone: nothing a member says of itself (tokens, steps, quality) is an argument here.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from concord.base.errors import DocumentError
from concord.base.shares import cap_shares


def merge_weights(
    charter: Mapping[str, Fraction], *, owners: Mapping[str, str], cap: Fraction
) -> dict[str, Fraction]:
    """Weights of the accepted members, which add up to 1; no owner has more than `cap`.

    The charter's weights are normalised over the accepted members and added up per owner. Owners
    over the cap are set to it and the rest is spread over the others in proportion, until none is
    over; what an owner has is divided among its members in proportion. Nothing is renormalised
    afterwards, which would lift owners over the cap again.

    Args:
        charter: Charter weight of each accepted member, > 0.
        owners: Legal owner of each of them; one that is missing or empty is its own owner.
        cap: Largest share of one owner, in (0, 1].

    Raises:
        DocumentError: nobody was accepted, a weight or the cap is not a positive fraction, or so
            few owners are left that the cap cannot hold.
    """
    if not charter:
        raise DocumentError("there is no update to weigh")
    for member, weight in charter.items():
        _check_share(weight, where=f"weight of {member}")
    _check_share(cap, where="owner cap")
    total = sum(charter.values(), Fraction(0))
    owner_of = {member: owners.get(member) or member for member in charter}
    shares: dict[str, Fraction] = {}
    for member, weight in charter.items():
        shares[owner_of[member]] = shares.get(owner_of[member], Fraction(0)) + weight / total
    capped = cap_shares(shares, cap)
    return {
        member: weight / total * capped[owner_of[member]] / shares[owner_of[member]]
        for member, weight in sorted(charter.items())
    }


def float32_weight(weight: Fraction) -> np.float32:
    """The weight as used in sums: the nearest double, rounded once more to float32.

    Python divides the two integers correctly rounded, numpy rounds half to even; so all machines
    agree. The sum of the rounded weights may miss 1 by 2^-24 per member.
    """
    return np.float32(float(weight))


def _check_share(value: Fraction, *, where: str) -> None:
    if not isinstance(value, Fraction) or value <= 0:
        raise DocumentError("is not an exact fraction above 0", where=where)
    if where == "owner cap" and value > 1:
        raise DocumentError("is above 1", where=where)
