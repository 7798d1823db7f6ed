"""How the state changes when members propose, vote, decide and ratify."""

from __future__ import annotations

from dataclasses import dataclass

from concord.base.digest import Digest
from concord.base.errors import CharterError, StatementRefused
from concord.charter.amend import choose_rule, difference
from concord.charter.constitution import Charter, Kind
from concord.charter.lint import lint_charter
from concord.charter.rules import Elector
from concord.charter.tally import Choice, Outcome, tally
from concord.ledger.state.library import Library
from concord.ledger.state.membership import seat_member, set_member, unseat
from concord.ledger.state.model import ProposalSeat, RunSeat, State, Vote, put
from concord.ledger.state.release_gates import require_gates
from concord.ledger.state.runs import check_run
from concord.ledger.statements.membership import MemberEntry
from concord.ledger.statements.statement import Statement
from concord.ledger.statements.votes import (
    Admit,
    Amend,
    Ballot,
    Change,
    Comment,
    Decision,
    Expel,
    LiftHalt,
    Proposal,
    Ratification,
    ReleaseModel,
    StartRun,
    Suspend,
)

LONGEST_VOTE_S = 366 * 24 * 3600


@dataclass(frozen=True)
class Standing:
    """How a vote stands."""

    rule: str
    outcome: Outcome
    final: bool
    """Whether it can be decided now: voting is over, or no ballot that is missing can matter."""
    counted: dict[str, Digest]
    not_counted: dict[str, str]
    """Ballots that do not count, by member, each with the reason."""


def electors(voters: dict[str, MemberEntry]) -> tuple[Elector, ...]:
    """Voters as the tally weighs them."""
    return tuple(
        Elector(
            id=name,
            speakers=entry.speakers,
            population=entry.population,
            owner=entry.legal_owner,
        )
        for name, entry in sorted(voters.items())
    )


def propose(state: State, body: Proposal, statement: Statement, library: Library) -> State:
    """A proposal is open for comments and ballots."""
    now, change = statement.time, body.change
    if not now < body.closes <= now + LONGEST_VOTE_S:
        raise StatementRefused("must be later than now, and within a year", where="closes")
    _check_change(state, change, now, library)
    _check_closing(state, body, now, library)
    seat = ProposalSeat(
        title=body.title,
        by=statement.author.party,
        change=change,
        closes=body.closes,
        charter=state.charter,
        opened=now,
    )
    return state.model_copy(update={"proposals": put(state.proposals, statement.digest, seat)})


def _check_closing(state: State, body: Proposal, now: int, library: Library) -> None:
    """A rule may say how long ballots are accepted; then neither less nor more."""
    charter = library.charter(state.charter)
    name = rule_for(state, body.change, charter, library)
    open_for_s = charter.rule[name].open_for
    if open_for_s and body.closes != now + open_for_s:
        raise StatementRefused(f"rule {name!r} keeps votes open for {open_for_s} s", where="closes")


def _check_change(state: State, change: object, now: int, library: Library) -> None:
    """Refuse at once what could never take effect."""
    charter = library.charter(state.charter)
    match change:
        case Amend():
            if change.before != state.charter:
                raise StatementRefused("another charter is in force", where="change.before")
            _check_charter(state, library.charter(change.charter), now)
        case StartRun():
            check_run(library.run(change.document), state, charter)
        case Admit():
            applied = state.applications.get(change.application)
            if applied is None or applied.entry.id != change.member:
                raise StatementRefused("there is no such application", where="change.application")
        case Suspend() | Expel():
            state.member(change.member)
            if isinstance(change, Suspend) and change.until <= now:
                raise StatementRefused("must be in the future", where="change.until")
        case LiftHalt():
            halt = state.halts.get(change.halt)
            if halt is None or halt.scope != "all" or halt.lifted:
                raise StatementRefused("there is no such halt of all", where="change.halt")


def _check_charter(state: State, charter: Charter, now: int) -> None:
    report = lint_charter(charter, electors(state.voters(now)))
    if report.errors:
        raise StatementRefused(
            f"the charter gives power wrongly: {report.errors[0]}", where="change.charter"
        )


def comment(state: State, body: Comment) -> State:
    """A word on a proposal."""
    seat = state.proposal(body.proposal)
    changed = seat.model_copy(update={"comments": seat.comments + 1})
    return state.model_copy(update={"proposals": put(state.proposals, body.proposal, changed)})


def vote(state: State, body: Ballot, statement: Statement) -> State:
    """A ballot; an earlier one of the same member no longer counts."""
    seat, member = state.proposal(body.proposal), statement.author.party
    if statement.author.role != "member" or member not in state.voters(statement.time):
        raise StatementRefused(f"{member!r} has no vote")
    if seat.outcome is not None:
        raise StatementRefused("the vote is over")
    if statement.time > seat.closes:
        raise StatementRefused("came after the vote closed")
    if statement.binding.charter != state.charter:
        raise StatementRefused("is bound to another charter than the one in force")
    ballot = Vote(ballot=statement.digest, choice=body.choice, charter=state.charter)
    changed = seat.model_copy(update={"votes": put(seat.votes, member, ballot)})
    return state.model_copy(update={"proposals": put(state.proposals, body.proposal, changed)})


def stands(state: State, seat: ProposalSeat, *, now: int, library: Library) -> Standing:
    """How a vote stands at a time: the one tally, and whether it is final."""
    charter = library.charter(state.charter)
    voters = state.voters(now)
    counted, not_counted = {}, {}
    for member, ballot in sorted(seat.votes.items()):
        if member not in voters:
            not_counted[member] = "has no vote any more"
        elif ballot.charter != state.charter:
            not_counted[member] = "was cast under another charter"
        else:
            counted[member] = ballot
    name = rule_for(state, seat.change, charter, library)
    rule = charter.rule[name]
    if rule.expired(now):
        raise StatementRefused(f"rule {name!r} ended on {rule.until}", where="rule")
    subject = seat.change.member if isinstance(seat.change, Expel | Suspend) else None
    choices = {member: Choice(ballot.choice) for member, ballot in counted.items()}

    def outcome(missing: Choice | None) -> Outcome:
        rest = {} if missing is None else dict.fromkeys(set(voters) - set(choices), missing)
        return tally(rule, electors(voters), {**choices, **rest}, subject=subject)

    now_found = outcome(None)
    settled = outcome(Choice.YES).result == outcome(Choice.NO).result == now_found.result
    return Standing(
        rule=name,
        outcome=now_found,
        final=now > seat.closes or (settled and not rule.open_for),
        counted={member: ballot.ballot for member, ballot in counted.items()},
        not_counted=not_counted,
    )


def rule_for(state: State, change: Change, charter: Charter, library: Library) -> str:
    """Name of the rule that decides about a change."""
    changed: tuple[str, ...] = ()
    if isinstance(change, Amend):
        before, after = library.bundle(state.charter), library.bundle(change.charter)
        changed = difference(before, after).paths
    return choose_rule(charter, Kind(change.kind), changed=changed, flop=int(state.flops))


def decide(
    state: State, body: Decision, statement: Statement, index: int, library: Library
) -> State:
    """A vote came to its end; a decision that does not follow from the ballots is refused."""
    seat, now = state.proposal(body.proposal), statement.time
    if seat.outcome is not None:
        raise StatementRefused("was decided before")
    standing = stands(state, seat, now=now, library=library)
    if not standing.final:
        raise StatementRefused("the vote is not over: missing ballots can still change it")
    found = (standing.outcome.result, standing.rule, standing.counted)
    if found != (body.outcome, body.rule, body.ballots):
        raise StatementRefused(
            f"does not follow from the ballots: by rule {standing.rule!r} the outcome is"
            f" '{standing.outcome.result}' over {len(standing.counted)} ballots"
        )
    delay = library.charter(state.charter).rule[standing.rule].delay
    if body.effective != now + delay:
        raise StatementRefused(f"must be {delay} s after the decision", where="effective")
    changed = seat.model_copy(
        update={
            "outcome": body.outcome,
            "rule": body.rule,
            "decision": statement.digest,
            "effective": body.effective,
        }
    )
    state = state.model_copy(update={"proposals": put(state.proposals, body.proposal, changed)})
    if body.outcome != "adopted":
        return state
    return _take_effect(state, changed, index=index, now=now, library=library)


def _take_effect(
    state: State, seat: ProposalSeat, *, index: int, now: int, library: Library
) -> State:
    change = seat.change
    charter = library.charter(state.charter)
    _check_change(state, change, now, library)
    match change:
        case ReleaseModel():
            require_gates(state, library, change.model, now)
        case Amend():
            coming = put(state.coming_charters, change.charter, seat.effective)
            return state.model_copy(update={"coming_charters": coming})
        case StartRun():
            run = library.run(change.document)
            earlier = state.runs.get(change.document)
            rule = seat.rule or ""
            found = (
                RunSeat(name=run.name, rule=rule)
                if earlier is None
                else earlier.model_copy(update={"rule": rule})
            )
            return state.model_copy(update={"runs": put(state.runs, change.document, found)})
        case Admit():
            applied = state.applications[change.application]
            rest = {k: v for k, v in state.applications.items() if k != change.application}
            state = state.model_copy(update={"applications": rest})
            return seat_member(
                state,
                applied.entry,
                ratified=applied.charter,
                probation=charter.members.probation_rounds > 0,
                index=index,
            )
        case Suspend():
            return set_member(state, change.member, suspended_until=change.until)
        case Expel():
            return unseat(state, change.member, "expelled")
    return state


def ratify(state: State, body: Ratification, statement: Statement) -> State:
    """A member binds itself to a charter, in force or adopted and coming."""
    if statement.author.role != "member":
        raise StatementRefused("only members ratify")
    if body.ratified != state.charter and body.ratified not in state.coming_charters:
        raise StatementRefused("no such charter was adopted", where="ratified")
    return set_member(state, statement.author.party, ratified=body.ratified)


def with_charters_in_force(state: State, now: int, library: Library) -> State:
    """What was adopted with a delay comes into force when its time has come."""
    due = sorted((at, digest) for digest, at in state.coming_charters.items() if at <= now)
    for _, digest in due:
        try:
            library.charter(digest)
        except CharterError as error:
            raise StatementRefused(error.message, where=digest) from error
        rest = {k: v for k, v in state.coming_charters.items() if k != digest}
        state = state.model_copy(update={"charter": digest, "coming_charters": rest})
    return state
