"""Whether a model passed the charter's gates, from the evidence in the log alone. Pure.

Evidence counts if its runner is a present member, if the gate reads in the charter that the runner
was bound to as it reads now, if it is young enough, and if it was compared with the last release,
where the gate asks for that. One that counts and failed fails the gate, whoever else passed it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from concord.base.digest import Digest
from concord.base.errors import StatementRefused
from concord.charter.constitution import Charter
from concord.charter.gates import WHOLE, Gate
from concord.ledger.state.library import Library
from concord.ledger.state.model import EvidenceSeat, State
from concord.ledger.statements.evidence import GateEvidence

Status = Literal["passed", "failed", "missing", "n/a"]


@dataclass(frozen=True)
class GateVerdict:
    """One gate, for one model."""

    gate: Gate
    status: Status
    reason: str
    counted: Mapping[str, EvidenceSeat]
    """By runner."""
    not_counted: Mapping[str, str]
    """Why not, by runner."""

    @property
    def blocks(self) -> bool:
        """Whether nothing can be released for it."""
        return self.gate.blocking and self.status in ("failed", "missing")


def last_release(state: State) -> Digest | None:
    """The model that was released last and not withdrawn."""
    standing = [model for version, model in state.releases.items() if version not in state.recalls]
    return standing[-1] if standing else None


def judge(state: State, library: Library, model: Digest, now: int) -> tuple[GateVerdict, ...]:
    """All gates of the charter in force, in its order."""
    charter = library.charter(state.charter_at(now))
    return tuple(_judged(state, library, gate, model, now) for gate in charter.gate)


def require_gates(state: State, library: Library, model: Digest, now: int) -> None:
    """Refuse a model that did not pass every blocking gate.

    Raises:
        StatementRefused: names each gate that is in the way, with the reason.
    """
    blocking = [one for one in judge(state, library, model, now) if one.blocks]
    if blocking:
        raise StatementRefused(
            "; ".join(f"gate {one.gate.id} {one.status}: {one.reason}" for one in blocking)[:2000],
            where="gates",
            remedy="no vote waives a gate: run it (concord gate run), or amend the charter",
        )


def check_evidence(state: State, body: GateEvidence, author: str, charter: Charter) -> None:
    """Whether evidence of a declared gate says what follows from its own numbers.

    Raises:
        StatementRefused: it does not, or is of another slice than the gate's.
    """
    gate = charter.gate_named(body.gate)
    if gate is None:
        if body.measured:
            raise StatementRefused("the charter has no such gate", where="gate")
        return
    if author not in state.seated():
        raise StatementRefused("only members run gates")
    if not body.measured:
        raise StatementRefused("measured nothing", where="measured")
    if gate.slice == "model" and set(body.measured) != {WHOLE}:
        raise StatementRefused("has one number, of the model", where="measured")
    if gate.slice == "member" and set(body.measured) != {author}:
        raise StatementRefused("has one number, of its runner's own text", where="measured")
    follows = "passed" if gate.passes(body.measured) else "failed"
    if body.result != follows:
        raise StatementRefused(
            f"says {body.result}; what it measured is {follows}: {gate.limit_words}", where="result"
        )
    if body.against is not None and gate.compare != "previous":
        raise StatementRefused("the gate compares with no release", where="against")


def _judged(state: State, library: Library, gate: Gate, model: Digest, now: int) -> GateVerdict:
    previous = last_release(state)
    if gate.compare == "previous" and previous in (None, model):
        return GateVerdict(gate, "n/a", "there is no release before it", {}, {})
    counted: dict[str, EvidenceSeat] = {}
    out: dict[str, str] = {}
    for runner, seat in sorted(state.evidence.get(model, {}).get(gate.id, {}).items()):
        why = _why_not(state, library, gate, runner, seat, previous=previous, now=now)
        if why is None:
            counted[runner] = seat
        else:
            out[runner] = why
    status, reason = _status(state, gate, counted, out, now)
    return GateVerdict(gate, status, reason, counted, out)


def _why_not(
    state: State,
    library: Library,
    gate: Gate,
    runner: str,
    seat: EvidenceSeat,
    *,
    previous: Digest | None,
    now: int,
) -> str | None:
    if runner not in state.seated():
        return "is no member any more"
    if seat.charter != state.charter_at(now):
        try:
            then = library.charter(seat.charter).gate_named(gate.id)
        except StatementRefused:
            then = None
        if then != gate:
            return "was run under another declaration of the gate"
    if now - seat.time > gate.max_age:
        return f"is stale: older than {gate.max_age // 86_400} days"
    if gate.compare == "previous" and seat.against != previous:
        return "was compared with another model than the last release"
    return None


def _status(
    state: State,
    gate: Gate,
    counted: Mapping[str, EvidenceSeat],
    out: Mapping[str, str],
    now: int,
) -> tuple[Status, str]:
    failed = [runner for runner, seat in counted.items() if seat.result == "failed"]
    if failed:
        return "failed", f"found so by {', '.join(failed)}"
    aside = "".join(f"; {runner}: {why}" for runner, why in out.items())
    owners = {state.members[runner].entry.legal_owner for runner in counted}
    if len(owners) < gate.min_runners:
        return (
            "missing",
            f"{len(owners)} of {gate.min_runners} independent runners gave evidence{aside}",
        )
    if gate.run_by == "member":
        asked = [m for m in state.seated() if not state.suspended(m, now)]
        needed = math.ceil(gate.share * len(asked))
        if len(counted) < needed:
            absent = ", ".join(sorted(set(asked) - counted.keys()))
            return (
                "missing",
                f"{len(counted)} of {needed} members gave evidence, not {absent}{aside}",
            )
    elif (apart := _apart(gate, counted)) is not None:
        return "failed", apart
    return "passed", f"found so by {', '.join(counted)}"


def _apart(gate: Gate, counted: Mapping[str, EvidenceSeat]) -> str | None:
    """Where runners that measure the same found too different numbers."""
    names = {name for seat in counted.values() for name in seat.measured}
    for name in sorted(names):
        found = {r: s.measured[name] for r, s in counted.items() if name in s.measured}
        if len(found) < len(counted):
            return f"runners did not all measure {name}"
        low, high = min(found.values()), max(found.values())
        if high - low > float(gate.tolerance):
            return f"runners disagree on {name}: {low:g} to {high:g}, tolerance {gate.tolerance}"
    return None
