"""What a charter would have decided in the past: the same ballots and rounds under other rules.

Shown with every proposed amendment, so that members see what a rule does before they vote on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concord.base.errors import CharterError
from concord.charter.amend import choose_rule
from concord.charter.compliance import RoundFacts, round_faults
from concord.charter.constitution import Charter, Kind
from concord.charter.rules import Elector
from concord.charter.tally import Choice, Result, tally


@dataclass(frozen=True)
class PastDecision:
    """A vote that was held, with all that its outcome followed from."""

    title: str
    """How the log names it, such as `admit chad (entry 12)`."""
    kind: Kind
    electors: tuple[Elector, ...]
    ballots: Mapping[str, Choice]
    result: Result
    subject: str | None = None
    changed: tuple[str, ...] = ()
    """Paths that it would have changed, if it was an amendment."""
    flop: int = 0
    """Joint compute that a new run would have reached, or that a release had used."""


@dataclass(frozen=True)
class Redecided:
    """A past vote or round that would have gone otherwise."""

    title: str
    before: str
    after: str
    reasons: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"{self.title}: {self.before} then, {self.after} now ({'; '.join(self.reasons)})"


def redecide(charter: Charter, past: Sequence[PastDecision]) -> tuple[Redecided, ...]:
    """Past votes whose result would have been another under this charter.

    Where the charter's rule cannot count a vote of that time, the reason is given instead.
    """
    found = (_redecided(charter, decision) for decision in past)
    return tuple(change for change in found if change is not None)


def _redecided(charter: Charter, past: PastDecision) -> Redecided | None:
    name = choose_rule(charter, past.kind, changed=past.changed, flop=past.flop)
    try:
        outcome = tally(charter.rule[name], past.electors, past.ballots, subject=past.subject)
    except CharterError as error:
        return Redecided(past.title, past.result, "not countable", (str(error),))
    if outcome.result is past.result:
        return None
    reasons = (f"rule {name}", *outcome.reasons)
    return Redecided(past.title, past.result, outcome.result, reasons)


def recheck_rounds(charter: Charter, past: Sequence[RoundFacts]) -> tuple[Redecided, ...]:
    """Past rounds that this charter would have refused."""
    found = ((facts, round_faults(charter, facts)) for facts in past)
    return tuple(
        Redecided(f"round {facts.round}", "closed", "refused", faults)
        for facts, faults in found
        if faults
    )
