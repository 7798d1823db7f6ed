"""How the state changes when members are founded, apply, leave, change keys or hand over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from concord.base.digest import Digest
from concord.base.errors import StatementRefused
from concord.charter.constitution import Charter
from concord.ledger.state.model import ApplicationSeat, MemberSeat, RunSeat, State, put
from concord.ledger.statements.membership import (
    Founding,
    Handover,
    Join,
    KeyRevocation,
    KeyRotation,
    Leave,
    MemberEntry,
)
from concord.ledger.statements.statement import Author, Statement


def found(state: State, body: Founding, digest: Digest, charter: Charter) -> State:
    """The first entry."""
    if state.size:
        raise StatementRefused("a federation is founded once, by the first entry")
    if len(body.overseers) < charter.oversight.min_overseers:
        raise StatementRefused(
            f"{len(body.overseers)} overseers are named;"
            f" the charter asks for {charter.oversight.min_overseers}"
        )
    seats = {
        member.id: MemberSeat(entry=member, standing="full", ratified=body.charter, since=0)
        for member in body.members
    }
    keys = [k for m in body.members for k in (m.key, m.witness_key)]
    keys += [o.key for o in body.overseers] + [body.coordinator.log_key]
    return state.model_copy(
        update={
            "federation": digest,
            "name": body.name,
            "charter": body.charter,
            "members": dict(sorted(seats.items())),
            "overseers": {o.id: o for o in sorted(body.overseers, key=lambda o: o.id)},
            "coordinator": body.coordinator,
            "keys_used": tuple(sorted(keys)),
        }
    )


def apply_to_join(state: State, body: Join, statement: Statement) -> State:
    """An application is on the table; a vote admits."""
    known = state.members.get(body.member.id)
    taken = known is not None and known.standing not in ("left", "expelled")
    if taken or body.member.id in state.overseers:
        raise StatementRefused(f"{body.member.id!r} is the name of another party")
    keys = _new_keys(state, [body.member.key, body.member.witness_key])
    seat = ApplicationSeat(entry=body.member, charter=statement.binding.charter)
    applications = put(state.applications, statement.digest, seat)
    return state.model_copy(update={"applications": applications, "keys_used": keys})


def seat_member(
    state: State, entry: MemberEntry, *, ratified: Digest, probation: bool, index: int
) -> State:
    """An applicant was admitted."""
    seat = MemberSeat(
        entry=entry,
        standing="probation" if probation else "full",
        ratified=ratified,
        since=index,
    )
    return state.model_copy(update={"members": _sorted(put(state.members, entry.id, seat))})


def leave(state: State, body: Leave, author: Author) -> State:  # noqa: ARG001 - the reason stands
    return unseat(state, author.party, "left")


def unseat(state: State, name: str, standing: Literal["left", "expelled"]) -> State:
    """A member is one no more: its grants end, also in a round that is going on."""
    runs = {digest: _without_grant(seat, name) for digest, seat in state.runs.items()}
    return set_member(state, name, standing=standing).model_copy(update={"runs": runs})


def _without_grant(seat: RunSeat, name: str) -> RunSeat:
    plan = seat.plan
    if plan is None or name not in plan.granted:
        return seat
    granted = tuple(other for other in plan.granted if other != name)
    updates = {other: sent for other, sent in plan.updates.items() if other != name}
    changed = plan.model_copy(update={"granted": granted, "updates": updates})
    return seat.model_copy(update={"plan": changed})


def set_member(state: State, name: str, **changes: object) -> State:
    """The state with some fields of one member changed."""
    seat = state.members[name].model_copy(update=changes)
    return state.model_copy(update={"members": put(state.members, name, seat)})


def rotate_key(state: State, body: KeyRotation, author: Author) -> State:
    """A new key takes the place of an old one."""
    keys = _new_keys(state, [body.new])
    if author.role == "overseer":
        seat = state.overseers[author.party]
        if body.purpose != "identity" or seat.key != body.old:
            raise StatementRefused("the old key is not this party's key")
        changed = put(state.overseers, author.party, seat.model_copy(update={"key": body.new}))
        return state.model_copy(update={"overseers": changed, "keys_used": keys})
    entry = state.member(author.party).entry
    field = "key" if body.purpose == "identity" else "witness_key"
    if getattr(entry, field) != body.old:
        raise StatementRefused(f"the old key is not this member's {body.purpose} key")
    state = set_member(state, author.party, entry=entry.model_copy(update={field: body.new}))
    return state.model_copy(update={"keys_used": keys})


def revoke_key(state: State, body: KeyRevocation) -> State:
    """A key counts no more; with a replacement the party goes on under another."""
    if body.key in state.revoked:
        raise StatementRefused("the key was revoked before", where="key")
    if body.party in state.overseers:
        return _revoke_overseer(state, body)
    entry = state.member(body.party).entry
    fields = [f for f in ("key", "witness_key") if getattr(entry, f) == body.key]
    if not fields:
        raise StatementRefused(f"it is no key of {body.party!r}", where="key")
    revoked = tuple(sorted({*state.revoked, body.key}))
    state = state.model_copy(update={"revoked": revoked})
    if body.replacement is None:
        return state
    keys = _new_keys(state, [body.replacement])
    changed = entry.model_copy(update={fields[0]: body.replacement})
    state = set_member(state, body.party, entry=changed)
    return state.model_copy(update={"keys_used": keys})


def _revoke_overseer(state: State, body: KeyRevocation) -> State:
    seat = state.overseers[body.party]
    if seat.key != body.key:
        raise StatementRefused(f"it is no key of {body.party!r}", where="key")
    update: dict[str, object] = {"revoked": tuple(sorted({*state.revoked, body.key}))}
    if body.replacement is not None:
        changed = seat.model_copy(update={"key": body.replacement})
        update["overseers"] = put(state.overseers, body.party, changed)
        update["keys_used"] = _new_keys(state, [body.replacement])
    return state.model_copy(update=update)


def hand_over(state: State, body: Handover) -> State:
    """Another coordinator; what the earlier one planned is void."""
    if body.term != state.term + 1:
        raise StatementRefused(f"is for term {body.term}; the next term is {state.term + 1}")
    state.member(body.coordinator.member)
    keys = state.keys_used
    if body.coordinator.log_key != state.coordinator.log_key:
        keys = _new_keys(state, [body.coordinator.log_key])
    runs = {digest: _without_plan(seat) for digest, seat in state.runs.items()}
    return state.model_copy(
        update={
            "coordinator": body.coordinator,
            "term": body.term,
            "runs": runs,
            "keys_used": keys,
        }
    )


def _without_plan(seat: RunSeat) -> RunSeat:
    if seat.plan is None:
        return seat
    return seat.model_copy(update={"plan": None, "attempt": seat.attempt + 1})


def _new_keys(state: State, keys: Iterable[str]) -> tuple[str, ...]:
    known = set(state.keys_used)
    for key in keys:
        if key in known:
            raise StatementRefused("the key was used before; every place needs a key of its own")
        known.add(key)
    return tuple(sorted(known))


def _sorted(members: dict[str, MemberSeat]) -> dict[str, MemberSeat]:
    return dict(sorted(members.items()))
