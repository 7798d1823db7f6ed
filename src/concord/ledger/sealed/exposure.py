"""What the sums of a run tell of each member by now, from the survivor sets in the log.

A survivor set counts as a released sum from the moment it is named, also if its round was void
afterwards: somebody may have opened it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from concord.base.digest import Digest
from concord.crypto.seal import leak_score
from concord.ledger.entries import Entry
from concord.ledger.statements.counting import CountsPlanned
from concord.ledger.statements.sealing import SurvivorSet

Released = tuple[str, ...]
"""Members whose updates one sum has."""


def score_of(released: Sequence[Released], member: str, rho: float) -> float:
    """One member's `leak_score`; 0 if no sum has its update.

    Raises:
        SealRefused: `rho` is out of range.
    """
    members = sorted({one for survivors in released for one in survivors} | {member})
    number = {one: index for index, one in enumerate(members)}
    sets = [tuple(number[one] for one in survivors) for survivors in released]
    return leak_score(sets, number[member], rho)


@dataclass(frozen=True)
class Exposure:
    """One member's place in the sums of a run."""

    member: str
    sums: int
    """Sums that its update is in."""
    different: int
    """Different survivor sets among those that hold it or somebody it was ever summed with."""
    score: float
    """`leak_score`."""


def released_sums(entries: Iterable[Entry]) -> dict[Digest, list[Released]]:
    """Survivor sets by run, in the order of the log."""
    found: dict[Digest, list[Released]] = {}
    counting = set()
    for entry in entries:
        body, run = entry.statement.body, entry.statement.binding.run
        if isinstance(body, CountsPlanned):
            counting.add(entry.statement.digest)  # sums of counts are of no update
        if isinstance(body, SurvivorSet) and run is not None and body.plan not in counting:
            found.setdefault(run, []).append(body.members)
    return found


def exposures(released: Sequence[Released], rho: float) -> list[Exposure]:
    """What the sums tell of each member that is in one, by id.

    Args:
        rho: Share of a member's update that stays the same from round to round, in [0, 1].

    Raises:
        SealRefused: `rho` is out of range.
    """
    members = sorted({member for survivors in released for member in survivors}, key=str.encode)
    return [
        Exposure(
            member=member,
            sums=sum(member in survivors for survivors in released),
            different=_different(released, member),
            score=score_of(released, member, rho),
        )
        for member in members
    ]


def _different(released: Sequence[Released], member: str) -> int:
    near = {other for survivors in released if member in survivors for other in survivors}
    return len({survivors for survivors in released if near & set(survivors)})
