"""What was decided and merged so far, as facts that another charter can be tried on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from concord.charter.amend import difference
from concord.charter.compliance import RoundFacts
from concord.charter.constitution import Kind
from concord.charter.decided import PastDecision
from concord.charter.tally import Choice, Result
from concord.ledger.entries import Entry
from concord.ledger.sentences import change_words
from concord.ledger.state.apply import apply
from concord.ledger.state.library import Library
from concord.ledger.state.model import ProposalSeat, State
from concord.ledger.state.votes import electors, with_charters_in_force
from concord.ledger.statements.rounds import RoundCommitted
from concord.ledger.statements.statement import Statement
from concord.ledger.statements.votes import Amend, Decision, Expel, Suspend


@dataclass(frozen=True)
class History:
    """Votes that were held and rounds that were merged, in their order."""

    votes: tuple[PastDecision, ...]
    rounds: tuple[RoundFacts, ...]


def history(entries: Iterable[Entry], library: Library) -> History:
    """Gather the past from a log's entries, each held against the state before it.

    Raises:
        StatementRefused: the entries are no log.
    """
    state, votes, rounds = State(), [], []
    for entry in entries:
        statement = entry.statement
        match statement.body:
            case Decision():
                votes.append(_vote(state, statement, statement.body, library))
            case RoundCommitted():
                rounds.append(_round(state, statement, statement.body))
        state = apply(state, entry, library)
    return History(tuple(votes), tuple(rounds))


def _vote(state: State, statement: Statement, body: Decision, library: Library) -> PastDecision:
    state = with_charters_in_force(state, statement.time, library)
    seat = state.proposal(body.proposal)
    change = seat.change
    return PastDecision(
        title=f"{change_words(change)} (entry {state.size})",
        kind=Kind(change.kind),
        electors=electors(state.voters(statement.time)),
        ballots={member: Choice(seat.votes[member].choice) for member in body.ballots},
        result=Result(body.outcome),
        subject=change.member if isinstance(change, Expel | Suspend) else None,
        changed=_changed(seat, library),
        flop=int(state.flops),
    )


def _changed(seat: ProposalSeat, library: Library) -> tuple[str, ...]:
    if not isinstance(seat.change, Amend):
        return ()
    before, after = library.bundle(seat.change.before), library.bundle(seat.change.charter)
    return difference(before, after).paths


def _round(state: State, statement: Statement, body: RoundCommitted) -> RoundFacts:
    seat = state.run(statement.binding.run)
    roster = () if seat.plan is None else seat.plan.roster
    return RoundFacts(
        round=seat.rounds + 1,
        roster=roster,
        weights={member: one.weight for member, one in body.merged.items()},
        owners={member: state.members[member].entry.legal_owner for member in roster},
    )
