"""How the state changes when somebody halts, extends or lifts a halt."""

from __future__ import annotations

from concord.base.digest import Digest
from concord.base.errors import StatementRefused
from concord.charter.constitution import Charter
from concord.ledger.state.model import HaltSeat, State, put
from concord.ledger.statements.oversight import Halt, HaltExtension, Resume
from concord.ledger.statements.statement import Author


def halt(
    state: State,
    body: Halt,
    author: Author,
    digest: Digest,
    *,
    signers: tuple[str, ...],
    now: int,
    charter: Charter,
) -> State:
    """A halt begins.

    Args:
        signers: Parties whose signatures are on it.
    """
    limit = charter.oversight
    longest = limit.halt_max_s if body.scope == "all" else limit.extend_max_s
    if not now < body.until <= now + longest:
        raise StatementRefused(
            f"must end after it begins and within {longest // 3600} hours", where="until"
        )
    if body.until <= state.time:
        raise StatementRefused("is over already", where="until")
    if body.scope == "self" and author.role != "member":
        raise StatementRefused("only a member halts itself")
    if body.scope == "all" and any(
        h.ground == body.ground for h in state.halts.values() if h.scope == "all"
    ):
        raise StatementRefused(
            f"all were halted for the ground {body.ground!r} before; the charter allows once"
        )
    seat = HaltSeat(
        scope=body.scope,
        by=(author.party,) if body.scope == "self" else signers,
        ground=body.ground,
        reason=body.reason,
        began=now,
        until=body.until,
    )
    return state.model_copy(update={"halts": put(state.halts, digest, seat)})


def extend_halt(state: State, body: HaltExtension, *, now: int, charter: Charter) -> State:
    """The oversight body extends a halt of all, once."""
    seat = _in_force(state, body.halt, now)
    latest = seat.began + charter.oversight.extend_max_s
    if seat.scope != "all" or seat.extended:
        raise StatementRefused("only a halt of all is extended, and only once")
    if not seat.until < body.until <= latest:
        raise StatementRefused("must end later than before, and within the charter's limit")
    changed = seat.model_copy(update={"until": body.until, "extended": True})
    return state.model_copy(update={"halts": put(state.halts, body.halt, changed)})


def resume(state: State, body: Resume, author: Author, *, now: int) -> State:
    """A halt ends before its time."""
    seat = _in_force(state, body.halt, now)
    if seat.scope == "self":
        if author.role != "member" or seat.by != (author.party,):
            raise StatementRefused("only the member that halted itself ends its halt")
    elif author.role != "overseer" or not _members_agreed(state, body):
        raise StatementRefused(
            "a halt of all ends early only by a decision of the members and the oversight body"
        )
    changed = seat.model_copy(update={"lifted": True})
    return state.model_copy(update={"halts": put(state.halts, body.halt, changed)})


def _members_agreed(state: State, body: Resume) -> bool:
    return any(
        seat.decision == body.decision
        and seat.outcome == "adopted"
        and seat.change.kind == "lift-halt"
        and seat.change.halt == body.halt
        for seat in state.proposals.values()
        if body.decision is not None
    )


def _in_force(state: State, digest: Digest, now: int) -> HaltSeat:
    seat = state.halts.get(digest)
    if seat is None or seat.lifted or seat.until <= now:
        raise StatementRefused("there is no such halt in force", where=digest)
    return seat
