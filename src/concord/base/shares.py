"""Shares of a whole with an upper limit for each holder, exactly: votes and merge weights alike."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from concord.base.errors import DocumentError


def cap_shares(shares: Mapping[str, Fraction], cap: Fraction) -> dict[str, Fraction]:
    """Water-filling: shares that add up to 1, none over `cap`, others kept in proportion.

    Raises:
        DocumentError: fewer than 1/cap owners.
    """
    if len(shares) * cap < 1:
        raise DocumentError(
            f"{len(shares)} owner(s) with at most {cap} each cannot make up the whole",
            where="owner cap",
            remedy=f"wait for at least {-(-1 // cap)} owners, or have the charter raise the cap",
        )
    capped: dict[str, Fraction] = {}
    while True:
        free = {owner: share for owner, share in shares.items() if owner not in capped}
        free_total = sum(free.values(), Fraction(0))
        rest = 1 - cap * len(capped)
        spread = {owner: share / free_total * rest for owner, share in free.items()}
        over = [owner for owner, share in spread.items() if share > cap]
        if not over:
            return {**dict.fromkeys(capped, cap), **spread}
        capped |= dict.fromkeys(over, cap)
