"""Whether a run and its rounds keep to a charter: pure, for members, coordinator and verifier."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from concord.charter.constitution import Charter, Mode
from concord.charter.run import RunDocument


@dataclass(frozen=True)
class RoundFacts:
    """What a round's record says that a charter has limits for."""

    round: int
    roster: tuple[str, ...]
    weights: Mapping[str, Fraction]
    """Share of the merge of each accepted member; they add up to 1."""
    owners: Mapping[str, str]
    """Legal owner of each member; one that is missing or empty is its own owner."""
    mode: Mode = "open"


def run_faults(
    charter: Charter, run: RunDocument, *, probation: Collection[str] = ()
) -> tuple[str, ...]:
    """Why a charter does not allow a run document; empty if it does.

    Args:
        charter: The charter in force.
        run: The run document.
        probation: Members of its roster that are on probation.
    """
    return tuple(_run_faults(charter, run, probation))


def _run_faults(charter: Charter, run: RunDocument, probation: Collection[str]) -> Iterator[str]:
    cap = charter.influence.owner_cap
    if run.update.owner_cap > cap:
        yield f"update.owner_cap {run.update.owner_cap} is over the charter's {cap}"
    if run.rounds.quorum < charter.rounds.quorum:
        yield f"rounds.quorum {run.rounds.quorum} is under the charter's {charter.rounds.quorum}"
    if len(run.roster) < charter.rounds.min_members:
        yield f"roster of {len(run.roster)} is under the charter's {charter.rounds.min_members}"
    if run.use.model_licence not in charter.rights.licences:
        yield f"use.model_licence {run.use.model_licence} is not among the charter's licences"
    full = {member.weight for member in run.roster if member.id not in probation}
    if len(full) > 1:
        yield f"members have different weights: {', '.join(map(str, sorted(full)))}"
    limit = charter.members.probation_weight * min(full, default=Fraction(1))
    for member in run.roster:
        if member.id in probation and member.weight > limit:
            yield f"{member.id} is on probation and may weigh {limit}, not {member.weight}"


def round_faults(charter: Charter, facts: RoundFacts) -> tuple[str, ...]:
    """Why a charter does not allow a round as it was closed; empty if it does."""
    return tuple(_round_faults(charter, facts))


def _round_faults(charter: Charter, facts: RoundFacts) -> Iterator[str]:
    needed = charter.rounds.needed(len(facts.roster))
    if len(facts.weights) < needed:
        yield f"{len(facts.weights)} of {len(facts.roster)} members took part, {needed} are needed"
    if strangers := sorted(facts.weights.keys() - set(facts.roster)):
        yield f"not in the roster: {', '.join(strangers)}"
    if any(weight <= 0 for weight in facts.weights.values()):
        yield "a weight is not above 0"
    if (total := sum(facts.weights.values(), Fraction(0))) != 1:
        yield f"weights add up to {total}, not to 1"
    cap = charter.influence.owner_cap
    for owner, share in sorted(_owner_shares(facts).items()):
        if share > cap:
            yield f"{owner} counts {share}, over the cap of {cap}"
    if facts.mode not in charter.floor.modes:
        yield f"mode {facts.mode} is not allowed"


def _owner_shares(facts: RoundFacts) -> dict[str, Fraction]:
    shares: dict[str, Fraction] = {}
    for member, weight in facts.weights.items():
        owner = facts.owners.get(member) or member
        shares[owner] = shares.get(owner, Fraction(0)) + weight
    return shares
