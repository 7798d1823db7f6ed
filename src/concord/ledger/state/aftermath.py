"""How the state changes with withdrawals, advisories, and matters with a deadline."""

from __future__ import annotations

from concord.base.digest import Digest
from concord.base.errors import StatementRefused
from concord.ledger.state.model import AdvisorySeat, MatterSeat, RecallSeat, State, put
from concord.ledger.statements.aftermath import Advisory, Matter, MatterAnswered, Recall
from concord.ledger.statements.statement import Statement

LONGEST_ANSWER_S = 31 * 86_400
"""One month: Regulation (EU) 2016/679, Article 12(3)."""


def recall(state: State, body: Recall, statement: Statement, signers: tuple[str, ...]) -> State:
    """A released version is withdrawn, once."""
    _check_released(state, body.version, body.model)
    if body.version in state.recalls:
        raise StatementRefused(f"version {body.version!r} was withdrawn before")
    if body.replaced_by is not None and body.replaced_by not in state.releases:
        raise StatementRefused("is no released version", where="replaced_by")
    seat = RecallSeat(
        statement=statement.digest,
        by=signers,
        ground=body.ground,
        reason=body.reason,
        replaced_by=body.replaced_by,
        time=statement.time,
    )
    return state.model_copy(update={"recalls": put(state.recalls, body.version, seat)})


def advise(state: State, body: Advisory, statement: Statement) -> State:
    """Users of a version should know something."""
    _check_released(state, body.version, body.model)
    seat = AdvisorySeat(
        version=body.version,
        by=statement.author.party,
        severity=body.severity,
        title=body.title,
        text=body.text,
        time=statement.time,
    )
    return state.model_copy(update={"advisories": put(state.advisories, statement.digest, seat)})


def open_matter(state: State, body: Matter, statement: Statement) -> State:
    """Something has to be answered by its day."""
    now = statement.time
    if not now < body.due <= now + LONGEST_ANSWER_S:
        raise StatementRefused("must be later than now, and within 31 days", where="due")
    if body.version is not None and body.version not in state.releases:
        raise StatementRefused(f"version {body.version!r} was not released", where="version")
    if body.to is not None:
        state.member(body.to)
    seat = MatterSeat(
        sort=body.sort,
        by=statement.author.party,
        version=body.version,
        about=body.about,
        to=body.to,
        title=body.title,
        opened=now,
        due=body.due,
    )
    return state.model_copy(update={"matters": put(state.matters, statement.digest, seat)})


def answer_matter(state: State, body: MatterAnswered, statement: Statement) -> State:
    """Something was answered, in time or late."""
    seat: MatterSeat | None = state.matters.get(body.matter)
    if seat is None:
        raise StatementRefused("there is no such matter", where="matter")
    if seat.answered:
        raise StatementRefused("was answered before", where="matter")
    author = statement.author
    if seat.to not in (None, author.party) and author.role != "overseer":
        raise StatementRefused(f"{seat.to} answers it, or the oversight body")
    changed = seat.model_copy(update={"answered": statement.time, "outcome": body.outcome})
    return state.model_copy(update={"matters": put(state.matters, body.matter, changed)})


def _check_released(state: State, version: str, model: Digest) -> None:
    if state.releases.get(version) != model:
        raise StatementRefused(
            f"version {version!r} was not released with this model", where="version"
        )
