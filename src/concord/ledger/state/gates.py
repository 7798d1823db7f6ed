"""The probe gate: who is left out of a round for what it did to public probes, and what follows.

A coordinator cannot leave an update out by this gate without saying so, with the values, before it
commits; nor can it merge one that the values speak against. That the values are right is computed
again by `concord gate check`. Three quarantines in twenty rounds put a member under review, which
is a question to the other members and changes nothing by itself.
"""

from __future__ import annotations

from concord.base.errors import StatementRefused
from concord.charter.run import RunDocument
from concord.ledger.state.model import GateSeat, PlanSeat, RunSeat
from concord.ledger.statements.gates import GateReport
from concord.ledger.statements.rounds import RoundCommitted

REVIEW_ROUNDS = 20
QUARANTINED = "quarantined"


def report_gate(
    seat: RunSeat, plan: PlanSeat, body: GateReport, report: str, run: RunDocument
) -> PlanSeat:
    """The open plan with what the gate found.

    Raises:
        StatementRefused: the run has no gate, or the report does not fit plan or values.
    """
    if not run.gate.enabled:
        raise StatementRefused("the run has no probe gate")
    if plan.gate is not None:
        raise StatementRefused("the gate has reported on this plan before")
    if body.base != plan.base or body.probes != seat.probes:
        raise StatementRefused("is about another base or other probes", where="base")
    for member, update in body.updates.items():
        sent = plan.updates.get(member)
        if sent is None or sent.update != update:
            raise StatementRefused(f"{member!r} did not send that update", where="updates")
    if list(body.quarantined) != harmful(body.benefits, run):
        raise StatementRefused(
            "does not name exactly those whose benefit is under the bound", where="quarantined"
        )
    passed = tuple(sorted(body.updates.keys() - set(body.quarantined)))
    found = GateSeat(report=report, quarantined=body.quarantined, passed=passed)
    return plan.model_copy(update={"gate": found})


def harmful(benefits: dict[str, float], run: RunDocument) -> list[str]:
    """Members without whose update the probes would be better by more than the run allows."""
    return sorted(member for member, one in benefits.items() if one < -run.gate.harm)


def check_commit(plan: PlanSeat, body: RoundCommitted, run: RunDocument) -> None:
    """Whether a round keeps to what its gate found.

    Raises:
        StatementRefused: it does not, or there is no report.
    """
    named = {name for name, why in body.left_out.items() if why.partition(":")[0] == QUARANTINED}
    if run.gate.enabled and plan.gate is None:
        raise StatementRefused("the run has a probe gate, and it did not report on this round")
    found = GateSeat(report="", quarantined=(), passed=()) if plan.gate is None else plan.gate
    if named != set(found.quarantined):
        raise StatementRefused(
            "leaves out as quarantined others than the gate's report names", where="left_out"
        )
    if run.gate.enabled and set(body.merged) != set(found.passed):
        raise StatementRefused("merges others than passed the gate", where="merged")


def strikes_after(seat: RunSeat, plan: PlanSeat) -> dict[str, tuple[int, ...]]:
    """Rounds in which members were quarantined lately, with this one."""
    oldest = seat.rounds + 1 - REVIEW_ROUNDS
    kept = {m: tuple(r for r in rounds if r > oldest) for m, rounds in seat.strikes.items()}
    for member in plan.gate.quarantined if plan.gate is not None else ():
        kept[member] = (*kept.get(member, ()), seat.rounds + 1)
    return {member: rounds for member, rounds in sorted(kept.items()) if rounds}
