"""Ballots that lie in the log and do not count, each with the reason. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from concord.base.digest import Digest
from concord.ledger.entries import Entry
from concord.ledger.state.votes import Standing
from concord.ledger.statements.votes import Ballot

REPLACED = "replaced by a later ballot"


@dataclass(frozen=True)
class Uncounted:
    """One ballot that does not count."""

    index: int
    member: str
    choice: str
    reason: str


def uncounted(
    entries: Sequence[Entry], proposal: Digest, standing: Standing
) -> tuple[Uncounted, ...]:
    """Ballots on a proposal that its tally leaves out, in the order of the log."""
    cast = [
        (index, entry.statement.author.party, entry.statement.digest, entry.statement.body)
        for index, entry in enumerate(entries)
        if isinstance(entry.statement.body, Ballot) and entry.statement.body.proposal == proposal
    ]
    last = {member: index for index, member, _, _ in cast}
    found = []
    for index, member, digest, body in cast:
        if index != last[member]:
            reason = REPLACED
        elif digest in standing.counted.values():
            reason = standing.outcome.uncounted.get(member, "")
        else:
            reason = standing.not_counted.get(member, "")
        if reason:
            found.append(Uncounted(index, member, body.choice, reason))
    return tuple(found)
