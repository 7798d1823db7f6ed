"""How a run comes by its first base: every member builds it, more than half agree, one sends it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from concord.base.digest import Digest
from concord.base.errors import FederationError, MessageRefused
from concord.federation.assembly import Assembly, Departure, Place
from concord.federation.messages import FirstBase, SendBase


def fetch_first_base(assembly: Assembly, *, tick_s: float) -> tuple[Path, Digest]:
    """The file of the base that more than half of the ready members built, and its digest.

    The caller holds the one against the other.

    Args:
        tick_s: How long one look for what came may take.

    Raises:
        FederationError: members do not agree, or the one that was asked has left.
        MessageRefused: it came without its tensors.
    """
    digest = agreed_first_base(assembly.places)
    if digest is None:
        raise FederationError(
            "members built different first bases from the same run document",
            remedy="run the same versions of concord, torch and transformers everywhere",
        )
    giver = next(
        member
        for member, place in sorted(assembly.places.items())
        if place.ready is not None and place.ready.first_base == digest
    )
    assembly.engine.send(giver, SendBase())
    while True:
        arrival = assembly.next(tick_s)
        if isinstance(arrival, Departure):
            raise FederationError(f"left: {arrival.reason}", where=arrival.member)
        if arrival is not None and isinstance(arrival.message, FirstBase):
            break
    if arrival.frame.payload is None:
        raise MessageRefused("the first base came without its tensors", where=giver)
    return arrival.frame.payload, digest


def agreed_first_base(places: dict[str, Place]) -> Digest | None:
    """The digest of the seeded first base that most ready members built, if more than half did."""
    votes = Counter(place.ready.first_base for place in places.values() if place.ready is not None)
    if not votes:
        return None
    digest, count = min(votes.items(), key=lambda item: (-item[1], item[0]))
    return digest if 2 * count > votes.total() else None
