"""How a round goes, up to its commit: plan, grants and refusals, updates; or its end without one.

Every statement is held against charter, run document and plan.
"""

from __future__ import annotations

from concord.base.errors import StatementRefused
from concord.charter.amend import choose_rule
from concord.charter.bundle import CharterBundle
from concord.charter.constitution import Charter, Kind
from concord.charter.pace import paced_steps
from concord.charter.run import RunDocument
from concord.charter.schedule import inner_steps
from concord.ledger.state import epochs, gates, sealing
from concord.ledger.state.model import PlanSeat, RunSeat, State, UpdateSeat, put
from concord.ledger.state.places import (
    answered_plan,
    check_place,
    open_plan,
    open_seat,
    put_run,
    sealing_seat,
)
from concord.ledger.state.privacy import spend
from concord.ledger.statements.gates import GateReport
from concord.ledger.statements.rounds import (
    Granted,
    Refused,
    RoundPlan,
    RoundVoid,
    UpdateSent,
)
from concord.ledger.statements.statement import Statement


def plan_round(
    state: State, body: RoundPlan, statement: Statement, charter: Charter, run: RunDocument
) -> State:
    """The coordinator calls a round."""
    seat, now = open_seat(state, statement), statement.time
    check_place(seat, statement)
    if seat.plan is not None:
        raise StatementRefused("the plan before it has not come to an end")
    if halted := state.halt_of_all(now):
        raise StatementRefused(f"all are halted: {state.halts[halted].reason}", where=halted)
    if body.term != state.term:
        raise StatementRefused(f"is of term {body.term}; the term is {state.term}", where="term")
    if body.attempt != seat.attempt:
        raise StatementRefused(f"must be attempt {seat.attempt}", where="attempt")
    if body.base != seat.base:
        raise StatementRefused("does not start from the current base", where="base")
    _check_rule(state, seat, charter)
    expected = (inner_steps(run.rounds, seat.rounds), run.update.codec, run.rounds.quorum)
    if (body.inner_steps, body.codec, body.quorum) != expected:
        raise StatementRefused("steps, codec or quorum are not those of the run document")
    if body.mode != run.mode or body.mode not in charter.floor.modes:
        raise StatementRefused(f"{body.mode} mode is not that of run and charter", where="mode")
    if body.steps != paced_steps(run, seat.rounds, body.roster, seat.step_times_us):
        raise StatementRefused("are not what follows from the members' step times", where="steps")
    sealed = None
    if run.mode == "sealed":
        sealed = sealing.open_sealed(seat, body, run, now)
        if body.roster != epochs.sealed_roster(state, seat, run, now):
            raise StatementRefused("is not all who gave keys and may take part", where="roster")
    else:
        _check_roster(state, body, run, now)
    plan = PlanSeat(
        digest=statement.digest,
        roster=body.roster,
        base=body.base,
        inner_steps=body.inner_steps,
        steps=dict(body.steps),
        quorum=str(body.quorum),
        mode=body.mode,
        sealed=sealed,
    )
    epoch = seat.epoch
    if sealed is not None and epoch is not None:
        epoch = epoch.model_copy(update={"used": True})
    return put_run(state, statement, seat, plan=plan, epoch=epoch)


def _check_roster(state: State, body: RoundPlan, run: RunDocument, now: int) -> None:
    bound = set(state.bound(now))
    for name in body.roster:
        if name not in run.member_ids:
            raise StatementRefused(f"{name!r} is not in the run document", where="roster")
        if name not in bound:
            raise StatementRefused(
                f"{name!r} is suspended, has left, or is not bound by the charter in force",
                where="roster",
            )
        if state.halt_of(name, now):
            raise StatementRefused(f"{name!r} has halted itself", where="roster")
    omitted = [
        name
        for name in run.member_ids
        if name in bound and not state.halt_of(name, now) and name not in body.roster
    ]
    if omitted:
        raise StatementRefused(f"omits {', '.join(omitted)}, who may take part", where="roster")


def _check_rule(state: State, seat: RunSeat, charter: Charter) -> None:
    """Oversight grows with capability: past a mark of joint compute a stronger rule must adopt."""
    needed = choose_rule(charter, Kind.RUN, flop=int(state.flops))
    if seat.rule != needed:
        raise StatementRefused(
            f"joint compute has passed a mark of the charter: the run needs a decision by rule"
            f" {needed!r}, and was adopted by {seat.rule!r}",
            where="run",
            remedy="put the run to the vote again: `concord propose run`",
        )


def grant(state: State, body: Granted, statement: Statement, bundle: CharterBundle) -> State:
    """A member takes part."""
    seat = open_seat(state, statement)
    plan = answered_plan(state, seat, statement, body.plan)
    party = statement.author.party
    _check_grant(state, body, party, bundle)
    changed = plan.model_copy(update={"granted": tuple(sorted({*plan.granted, party}))})
    if seat.canaries.get(party, body.canaries) != body.canaries:
        raise StatementRefused("names other canaries than its grants before", where="canaries")
    canaries = seat.canaries if body.canaries is None else put(seat.canaries, party, body.canaries)
    return put_run(state, statement, seat, plan=changed, canaries=canaries)


def _check_grant(state: State, body: Granted, party: str, bundle: CharterBundle) -> None:
    """What a reader can hold a grant against, without the member's policy.

    Whoever has once described its data grants described data, and only what stands in the log: so
    a revocation ends all grants, whatever the member's machine says.
    """
    standing = set(state.datasets.get(party, {}).values())
    if strangers := sorted(set(body.dataset_records) - standing):
        raise StatementRefused(
            f"names dataset record {strangers[0]}, which does not stand", where="dataset_records"
        )
    if not body.dataset_records and (standing or state.revoked_datasets.get(party)):
        raise StatementRefused(
            "names none of the member's dataset records", where="dataset_records"
        )
    if forbids := sorted(set(body.rules) & bundle.rules.keys()):
        raise StatementRefused(
            f"says that {forbids[0]!r} permits; in the charter it forbids", where="rules"
        )


def refuse(state: State, body: Refused, statement: Statement, run: RunDocument) -> State:
    """A member takes no part in a round, or gives no counts; it may still say so after a grant."""
    seat = sealing_seat(state, statement, run)
    plan = answered_plan(state, seat, statement, body.plan)
    party = statement.author.party
    if party in plan.refused:
        raise StatementRefused("refused already")
    if party in plan.updates:
        raise StatementRefused("sent its update for this plan before")
    refused = tuple(sorted({*plan.refused, party}))
    granted = tuple(name for name in plan.granted if name != party)
    changed = plan.model_copy(update={"refused": refused, "granted": granted})
    return put_run(state, statement, seat, plan=changed)


def announce(state: State, body: UpdateSent, statement: Statement, run: RunDocument) -> State:
    """A member's update, by digest."""
    seat = open_seat(state, statement)
    late = run.update.late == "correct" and _is_of(seat.before, body)
    plan = _plan_before(state, seat, statement) if late else None
    plan = plan or answered_plan(state, seat, statement, body.plan)
    if plan.sealed is not None:
        raise StatementRefused("an update without a mask has no place in a sealed round")
    party = statement.author.party
    if party not in plan.granted:
        raise StatementRefused("an update needs a grant first")
    if party in plan.updates or (late and party in seat.late):
        raise StatementRefused("sent an update for this plan before")
    if body.base != plan.base:
        raise StatementRefused("starts from another base", where="base")
    if body.steps > plan.steps_of(party):
        raise StatementRefused("declares more work than was planned", where="steps")
    if plan.steps and body.steps != plan.steps_of(party):
        raise StatementRefused("declares less work than it is weighed for", where="steps")
    sent = UpdateSeat(
        header=statement.digest,
        update=body.update,
        steps=body.steps,
        tokens=body.tokens,
        flops=body.flops,
        train_s=body.train_s,
    )
    state = spend(state, party, body.privacy)
    if late:
        return put_run(state, statement, seat, late=put(seat.late, party, sent))
    changed = plan.model_copy(update={"updates": put(plan.updates, party, sent)})
    return put_run(state, statement, seat, plan=changed)


def _is_of(plan: PlanSeat | None, body: UpdateSent) -> bool:
    return plan is not None and plan.digest == body.plan


def _plan_before(state: State, seat: RunSeat, statement: Statement) -> PlanSeat | None:
    """The plan of the last committed round, as a member answers it one round late."""
    if statement.author.role != "member":
        raise StatementRefused("only members answer a plan")
    if statement.binding.round != seat.rounds - 1:
        raise StatementRefused("is not for the round before", where="round")
    if statement.binding.charter != state.charter:
        raise StatementRefused("is bound to another charter", where="charter")
    return seat.before


def report_gate(state: State, body: GateReport, statement: Statement, run: RunDocument) -> State:
    """The probe gate's findings on the open plan."""
    seat = open_seat(state, statement)
    plan = open_plan(seat, statement, body.plan)
    plan = gates.report_gate(seat, plan, body, statement.digest, run)
    return put_run(state, statement, seat, plan=plan)


def void_round(state: State, body: RoundVoid, statement: Statement, run: RunDocument) -> State:
    """A planned round came to no end, or a plan for counts."""
    seat = sealing_seat(state, statement, run)
    plan = open_plan(seat, statement, body.plan)
    left = sealing.voided(seat, plan)
    return put_run(state, statement, seat, plan=None, attempt=seat.attempt + 1, **left)
