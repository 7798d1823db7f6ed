"""One entry more: the state after it, or the reason why it is refused. Pure.

    1. the frame: known kind, this federation, a charter that binds its author
    2. order and time: a number higher than any before in its lane (in a run, or outside), no time
       before the clock skew allowed
    3. signatures: who has to sign, with keys that hold at this place of the log
    4. the rules of its kind

What is refused leaves the state as it was. The same function decides whether an entry may enter
the log, what a member believes, and what a verifier finds.
"""

from __future__ import annotations

from collections.abc import Iterable

from concord.base.errors import SignatureRefused, StatementRefused
from concord.charter.constitution import Charter
from concord.ledger.entries import Entry
from concord.ledger.state import (
    aftermath,
    commits,
    evidence,
    membership,
    oversight,
    rounds,
    runs,
    sealed_rounds,
    votes,
)
from concord.ledger.state.library import Library
from concord.ledger.state.model import State, put
from concord.ledger.state.signers import (
    GATHERING_S,
    Requirement,
    gathered,
    lane_of,
    may_come_late,
    required,
)
from concord.ledger.statements.aftermath import Advisory, Matter, MatterAnswered, Recall
from concord.ledger.statements.counting import CountsPlanned, TokenizerLearned
from concord.ledger.statements.evidence import DatasetRecord, GateEvidence, Release
from concord.ledger.statements.gates import GateReport
from concord.ledger.statements.membership import (
    Founding,
    Handover,
    Join,
    KeyRevocation,
    KeyRotation,
    Leave,
)
from concord.ledger.statements.oversight import Halt, HaltExtension, Resume
from concord.ledger.statements.rounds import (
    Granted,
    Measured,
    MeasureRefused,
    Refused,
    RoundCommitted,
    RoundPlan,
    RoundVoid,
    RunClosed,
    RunOpening,
    UpdateSent,
)
from concord.ledger.statements.sealing import (
    BeaconShown,
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
    KeyShown,
    KeysSealed,
    MaskingSet,
    SealSetUp,
    SurvivorSet,
    Unmasked,
    UpdateCommitted,
)
from concord.ledger.statements.statement import Statement
from concord.ledger.statements.votes import Ballot, Comment, Decision, Proposal, Ratification


def replay(entries: Iterable[Entry], library: Library) -> State:
    """The state after all entries of a log, from nothing.

    Raises:
        StatementRefused: an entry may not stand where it stands; `where` names its index.
    """
    state = State()
    for entry in entries:
        state = apply(state, entry, library)
    return state


def apply(state: State, entry: Entry, library: Library) -> State:
    """The state after one more entry.

    Raises:
        StatementRefused: the entry is not allowed here, with the reason.
    """
    statement = entry.statement
    where = statement.place(state.size)
    try:
        state = _applied(state, entry, library)
    except StatementRefused as error:
        place = where if error.where is None else f"{where}: {error.where}"
        raise StatementRefused(error.message, where=place, remedy=error.remedy) from error
    return state


def _applied(state: State, entry: Entry, library: Library) -> State:
    statement = entry.statement
    founding = isinstance(statement.body, Founding)
    # 1. the frame
    if state.federation != statement.binding.federation:
        raise StatementRefused("belongs to another federation", where="federation")
    if not founding:
        state = votes.with_charters_in_force(state, statement.time, library)
    charter = library.charter(statement.body.charter if founding else state.charter)  # type: ignore[attr-defined]
    _check_charter(state, statement)
    # 2. order and time
    lane = lane_of(statement)
    last, together = state.seqs.get(lane, -1), gathered(statement)
    stops = may_come_late(statement)
    if statement.seq <= last and not together:
        raise StatementRefused(
            f"number {statement.seq} was used by its author before: a replay", where="seq"
        )
    patience_s = GATHERING_S if together or stops else charter.log.clock_skew_s
    if statement.time < state.time - patience_s:
        raise StatementRefused("is older than what stands before it", where="time")
    # 3. signatures
    needed = required(state, statement, None if founding else charter)
    signers = check_signatures(state, entry, needed)
    # 4. the rules of its kind
    after = _by_kind(state, statement, signers, charter, library)
    return after.model_copy(
        update={
            "size": state.size + 1,
            "time": max(state.time, statement.time),
            "seqs": put(after.seqs, lane, max(last, statement.seq)),
        }
    )


def _check_charter(state: State, statement: Statement) -> None:
    """In force, or the one that its author is bound by: who did not ratify may still speak."""
    allowed = {state.charter}
    seat = state.members.get(statement.author.party)
    if seat is not None:
        allowed.add(seat.ratified)
    if state.size and statement.binding.charter not in allowed:
        raise StatementRefused("is bound to a charter that is not in force", where="charter")


def check_signatures(state: State, entry: Entry, needed: Requirement) -> tuple[str, ...]:
    """Ids of the parties that signed.

    Raises:
        StatementRefused: a signature is wrong, of a key without a say here, revoked, or missing.
    """
    revoked = set(state.revoked)
    keys = [key for key in needed.keys if key.text not in revoked]
    known = {key.key_id for key in keys}
    if foreign := [s.key_id for s in entry.envelope.signatures if s.key_id not in known]:
        raise StatementRefused(
            f"is signed with key {foreign[0][:16]}…, which has no say here", where="signatures"
        )
    try:
        found = entry.envelope.verify(keys, needed.threshold)
    except SignatureRefused as error:
        raise StatementRefused(error.message, where="signatures") from error
    for key in needed.all_of:
        if key.key_id not in found:
            raise StatementRefused("lacks a signature that it needs", where="signatures")
    by_key = {m.entry.key: name for name, m in state.members.items()}
    by_key |= {o.key: name for name, o in state.overseers.items()}
    return tuple(sorted(by_key[k.text] for k in keys if k.key_id in found and k.text in by_key))


def _by_kind(
    state: State,
    statement: Statement,
    signers: tuple[str, ...],
    charter: Charter,
    library: Library,
) -> State:
    body, author, now = statement.body, statement.author, statement.time
    match body:
        case Founding():
            return membership.found(state, body, statement.digest, charter)
        case Join():
            return membership.apply_to_join(state, body, statement)
        case Leave():
            return membership.leave(state, body, author)
        case KeyRotation():
            return membership.rotate_key(state, body, author)
        case KeyRevocation():
            return membership.revoke_key(state, body)
        case Handover():
            return membership.hand_over(state, body)
        case Proposal():
            return votes.propose(state, body, statement, library)
        case Comment():
            return votes.comment(state, body)
        case Ballot():
            return votes.vote(state, body, statement)
        case Decision():
            return votes.decide(state, body, statement, state.size, library)
        case Ratification():
            return votes.ratify(state, body, statement)
        case Halt():
            return oversight.halt(
                state, body, author, statement.digest, signers=signers, now=now, charter=charter
            )
        case HaltExtension():
            return oversight.extend_halt(state, body, now=now, charter=charter)
        case Resume():
            return oversight.resume(state, body, author, now=now)
        case DatasetRecord():
            return evidence.record_dataset(state, body, author)
        case GateEvidence():
            return evidence.record_evidence(state, body, statement, charter)
        case Release():
            return evidence.release(state, body, statement, library)
        case Recall():
            return aftermath.recall(state, body, statement, signers)
        case Advisory():
            return aftermath.advise(state, body, statement)
        case Matter():
            return aftermath.open_matter(state, body, statement)
        case MatterAnswered():
            return aftermath.answer_matter(state, body, statement)
    return _in_a_run(state, statement, charter, library)


def _in_a_run(state: State, statement: Statement, charter: Charter, library: Library) -> State:
    body = statement.body
    run = library.run(statement.binding.run or "")
    match body:
        case RunOpening():
            return runs.open_run(state, body, statement, run)
        case RoundPlan():
            return rounds.plan_round(state, body, statement, charter, run)
        case Granted():
            return rounds.grant(state, body, statement, library.bundle(state.charter))
        case Refused():
            return rounds.refuse(state, body, statement, run)
        case UpdateSent():
            return rounds.announce(state, body, statement, run)
        case GateReport():
            return rounds.report_gate(state, body, statement, run)
        case RoundCommitted():
            return commits.commit_round(state, body, statement, charter, run)
        case RoundVoid():
            return rounds.void_round(state, body, statement, run)
        case Measured() | MeasureRefused():
            return runs.measure(state, body, statement)
        case RunClosed():
            return runs.close_run(state, body, statement, run)
        case (
            EpochOpened()
            | KeyShown()
            | KeysClosed()
            | BeaconShown()
            | CohortsDrawn()
            | KeysSealed()
        ):
            return sealed_rounds.of_epoch(state, body, statement, run)
        case SealSetUp() | MaskingSet() | UpdateCommitted() | SurvivorSet() | Unmasked():
            return sealed_rounds.of_sealed_round(state, body, statement, run)
        case CountsPlanned() | TokenizerLearned():
            return sealed_rounds.of_counting(state, body, statement, run)
    raise StatementRefused(f"kind {statement.kind!r} has no rule")
