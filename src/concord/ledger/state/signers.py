"""Who has to sign a statement for it to count: keys and how many of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from concord.base.errors import StatementRefused
from concord.charter.constitution import Charter
from concord.charter.fields import Threshold
from concord.crypto.keys import PublicKey
from concord.ledger.state.model import State
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
    RoundCommitted,
    RoundPlan,
    RoundVoid,
    RunClosed,
    RunOpening,
)
from concord.ledger.statements.sealing import (
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
    MaskingSet,
    SurvivorSet,
)
from concord.ledger.statements.statement import Statement
from concord.ledger.statements.votes import Decision


@dataclass(frozen=True)
class Requirement:
    """At least `threshold` of `keys`, and among them all of `all_of`."""

    keys: tuple[PublicKey, ...]
    threshold: int
    all_of: tuple[PublicKey, ...] = ()


COORDINATOR_ONLY = (
    CountsPlanned,
    TokenizerLearned,
    RunOpening,
    RoundPlan,
    GateReport,
    RoundCommitted,
    RoundVoid,
    RunClosed,
    Release,
    EpochOpened,
    KeysClosed,
    CohortsDrawn,
    MaskingSet,
    SurvivorSet,
)
COORDINATOR_MAY = (*COORDINATOR_ONLY, Decision)
"""All that the role says. Its holder speaks as a member otherwise, or the role would be a vote."""
GATHERING_S = 7 * 86_400
"""How long signatures of several parties may be gathered."""


def lane_of(statement: Statement) -> str:
    """What a statement's number is held against: what its author said in the same lane.

    A party speaks by commands while its process speaks in a run, and neither knows when the other's
    statements reach the log. So there are two lanes, each in the order of its numbers.
    """
    author = statement.author
    name = f"{author.role}:{author.party}"
    return name if statement.binding.run is None else f"{name}:run"


def may_come_late(statement: Statement) -> bool:
    """Whether a statement may be older than what stands before it.

    A round can take hours, and what is handed in meanwhile waits. What only forbids keeps its
    worth: a coordinator that holds it back and brings it later gains nothing. Nor does it gain from
    a complaint that came late: its deadline runs from the day on which it was signed.
    """
    match statement.body:
        case DatasetRecord():
            return statement.body.revoked
        case Halt():
            return statement.body.scope == "self"
        case Leave() | Matter():
            return True
        case _:
            return False


def gathered(statement: Statement) -> bool:
    """Whether several parties sign a statement, perhaps on several machines and days.

    Each of them changes something that can change once (a term, a ground, a key, a halt), so that
    the number of the statement is not needed against a replay.
    """
    body, author = statement.body, statement.author
    match body:
        case Handover() | HaltExtension() | Recall():
            return True
        case Halt():
            return body.scope == "all"
        case Resume():
            return author.role == "overseer"
        case KeyRevocation():
            return not _revokes_own(body, author.party)
    return False


def required(state: State, statement: Statement, charter: Charter | None) -> Requirement:
    """The signatures that a statement needs in this state.

    Args:
        charter: The charter in force; None only before the founding statement.

    Raises:
        StatementRefused: its author may not say this, or is unknown.
    """
    body, author = statement.body, statement.author
    if isinstance(body, Founding):
        _role(statement, "founders")
        keys = [member.key for member in body.members]
        return _all(keys)
    if charter is None:
        raise StatementRefused("comes before the founding statement")
    if isinstance(body, Join):
        _role(statement, "applicant")
        if author.party != body.member.id:
            raise StatementRefused("an application is made by the applicant itself")
        return _all([body.member.key])
    if isinstance(body, COORDINATOR_ONLY):
        _role(statement, "coordinator")
    if author.role == "coordinator":
        if not isinstance(body, COORDINATOR_MAY):
            raise StatementRefused(f"the coordinator makes no statement of kind {statement.kind!r}")
        if author.party != state.coordinator.member:
            raise StatementRefused(
                f"{author.party!r} does not run the coordinator; {state.coordinator.member!r} does"
            )
        return _all([state.member(author.party).entry.key])
    if author.role == "overseer":
        return _overseer(state, statement, charter)
    if author.role != "member":
        raise StatementRefused(f"role {author.role!r} cannot make this statement")
    own = state.member(author.party).entry.key
    if isinstance(body, KeyRotation):
        return _all([own, body.old, body.new])
    if isinstance(body, KeyRevocation):
        if _revokes_own(body, author.party):
            return _either(body.key, own)
        return _share(state, charter.coordinator.takeover, own)
    if isinstance(body, Handover):
        return _handover(state, body, charter)
    if (isinstance(body, Halt) and body.scope == "all") or isinstance(body, Recall):
        return _share(state, charter.oversight.halt_members, own)
    if isinstance(body, GateEvidence):
        gate = charter.gate_named(body.gate)
        board = None if gate is None else gate.boards.get(author.party)
        return _all([own] if board is None else [own, board])
    if isinstance(body, HaltExtension):
        raise StatementRefused("only the oversight body extends a halt")
    return _all([own])


def _overseer(state: State, statement: Statement, charter: Charter) -> Requirement:
    body, party = statement.body, statement.author.party
    if party not in state.overseers:
        raise StatementRefused(f"{party!r} is not of the oversight body")
    keys = [overseer.key for _, overseer in sorted(state.overseers.items())]
    own = state.overseers[party].key
    if isinstance(body, HaltExtension):
        return _some(keys, charter.oversight.extend_overseers, own)
    if isinstance(body, Resume):
        return _some(keys, charter.oversight.lift_overseers, own)
    if isinstance(body, KeyRotation):
        return _all([own, body.old, body.new])
    if isinstance(body, KeyRevocation) and _revokes_own(body, party):
        return _all([own])
    if isinstance(body, Halt | Recall | Advisory | Matter | MatterAnswered):
        return _all([own])
    raise StatementRefused(f"the oversight body makes no statement of kind {statement.kind!r}")


def _revokes_own(body: KeyRevocation, author: str) -> bool:
    return body.replacement is None and body.party == author


def _handover(state: State, body: Handover, charter: Charter) -> Requirement:
    new = state.member(body.coordinator.member).entry.key
    if body.manner == "handover":
        return _all([state.member(state.coordinator.member).entry.key, new])
    return _share(state, charter.coordinator.takeover, new)


def _share(state: State, share: Threshold, all_of: str) -> Requirement:
    return _some([seat.entry.key for seat in state.seated().values()], share, all_of)


def _all(keys: Iterable[str]) -> Requirement:
    parsed = tuple(PublicKey.parse(key) for key in dict.fromkeys(keys))
    return Requirement(parsed, len(parsed), parsed)


def _either(*keys: str) -> Requirement:
    return Requirement(tuple(PublicKey.parse(key) for key in dict.fromkeys(keys)), 1)


def _some(keys: Iterable[str], share: Threshold, own: str) -> Requirement:
    parsed = tuple(PublicKey.parse(key) for key in keys)
    return Requirement(parsed, max(1, share.needed(len(parsed))), (PublicKey.parse(own),))


def _role(statement: Statement, role: str) -> None:
    if statement.author.role != role:
        raise StatementRefused(f"{statement.kind} is said in the role {role!r} only")
