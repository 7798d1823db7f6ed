"""How the state changes in a run: every statement is held against charter, run document and plan.

That the numbers are right (each base from the base before and the updates) is not decided here
but recomputed by `concord.ledger.replay`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from concord.base.digest import Digest
from concord.base.errors import DocumentError, StatementRefused
from concord.charter.amend import choose_rule
from concord.charter.bundle import CharterBundle
from concord.charter.constitution import Charter, Kind
from concord.charter.pace import next_times, paced_steps
from concord.charter.run import RunDocument
from concord.charter.schedule import inner_steps
from concord.ledger.arithmetic import merge_weights_of
from concord.ledger.state import counting, epochs, gates, sealing
from concord.ledger.state.model import PlanSeat, RunSeat, State, UpdateSeat, put
from concord.ledger.state.privacy import spend
from concord.ledger.statements.counting import CountsPlanned, TokenizerLearned
from concord.ledger.statements.gates import GateReport
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
from concord.ledger.statements.sealing import UpdateCommitted
from concord.ledger.statements.statement import Statement

REMEMBERED_BASES = 16


def open_run(state: State, body: RunOpening, statement: Statement, run: RunDocument) -> State:
    """An adopted run begins."""
    seat = state.run(statement.binding.run)
    if seat.standing != "adopted":
        raise StatementRefused(f"the run is {seat.standing} already")
    if run.gate.enabled != (body.probes is not None):
        raise StatementRefused("must name probes if the run has a gate, and only then")
    counting.check_opening(seat, body, run)
    return _put(
        state,
        statement,
        seat,
        standing="open",
        first_base=body.first_base,
        base=body.first_base,
        tokenizer=body.tokenizer,
        probes=body.probes,
        record=body.record,
        recent={"0": body.first_base},
    )


def plan_round(
    state: State, body: RoundPlan, statement: Statement, charter: Charter, run: RunDocument
) -> State:
    """The coordinator calls a round."""
    seat, now = _open(state, statement), statement.time
    _check_place(seat, statement)
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
    return _put(state, statement, seat, plan=plan, epoch=epoch)


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
    seat = _open(state, statement)
    plan = _plan(state, seat, statement, body.plan)
    party = statement.author.party
    _check_grant(state, body, party, bundle)
    changed = plan.model_copy(update={"granted": tuple(sorted({*plan.granted, party}))})
    if seat.canaries.get(party, body.canaries) != body.canaries:
        raise StatementRefused("names other canaries than its grants before", where="canaries")
    canaries = seat.canaries if body.canaries is None else put(seat.canaries, party, body.canaries)
    return _put(state, statement, seat, plan=changed, canaries=canaries)


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
    seat = _sealing(state, statement, run)
    plan = _plan(state, seat, statement, body.plan)
    party = statement.author.party
    if party in plan.refused:
        raise StatementRefused("refused already")
    if party in plan.updates:
        raise StatementRefused("sent its update for this plan before")
    refused = tuple(sorted({*plan.refused, party}))
    granted = tuple(name for name in plan.granted if name != party)
    changed = plan.model_copy(update={"refused": refused, "granted": granted})
    return _put(state, statement, seat, plan=changed)


def announce(state: State, body: UpdateSent, statement: Statement, run: RunDocument) -> State:
    """A member's update, by digest."""
    seat = _open(state, statement)
    late = run.update.late == "correct" and _is_of(seat.before, body)
    plan = _plan_before(state, seat, statement) if late else None
    plan = plan or _plan(state, seat, statement, body.plan)
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
        return _put(state, statement, seat, late=put(seat.late, party, sent))
    changed = plan.model_copy(update={"updates": put(plan.updates, party, sent)})
    return _put(state, statement, seat, plan=changed)


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
    seat = _open(state, statement)
    plan = _plan_of_coordinator(seat, statement, body.plan)
    plan = gates.report_gate(seat, plan, body, statement.digest, run)
    return _put(state, statement, seat, plan=plan)


def commit_round(
    state: State, body: RoundCommitted, statement: Statement, charter: Charter, run: RunDocument
) -> State:
    """A round has happened."""
    seat = _open(state, statement)
    plan = _plan_of_coordinator(seat, statement, body.plan)
    if halted := state.halt_of_all(statement.time):
        raise StatementRefused("was committed while all were halted", where=halted)
    if body.base_before != seat.base:
        raise StatementRefused("does not follow from the current base", where="base_before")
    if set(body.merged) & set(body.left_out) or set(body.merged) | set(body.left_out) != set(
        plan.roster
    ):
        raise StatementRefused("every member of the roster is either merged or left out")
    asked = math.ceil(Fraction(plan.quorum) * len(plan.roster))
    needed = max(asked, charter.rounds.needed(len(plan.roster)))
    in_time = sum(not merged.late for merged in body.merged.values())
    if in_time < needed:
        raise StatementRefused(
            f"{in_time} updates of {len(plan.roster)}; the quorum is {needed}",
            where="merged",
        )
    for name, merged in body.merged.items():
        sent = (seat.late if merged.late else plan.updates).get(name)
        if sent is None or sent.update != merged.update:
            raise StatementRefused(f"{name!r} did not send that update", where="merged")
        if sent.tokens > (agreed := plan.steps_of(name) * run.inner.batch_tokens):
            raise StatementRefused(
                f"{name!r} declares {sent.tokens} tokens; {agreed} were agreed", where="merged"
            )
    gates.check_commit(plan, body, run)
    if plan.sealed is not None:
        sealing.check_merged(seat, plan, body.merged, run)
    _check_weights(state, body, charter, run, plan.steps)
    flops = sum(sent.flops for sent in (*plan.updates.values(), *seat.late.values()))
    state = _put(
        state,
        statement,
        seat,
        rounds=seat.rounds + 1,
        strikes=gates.strikes_after(seat, plan),
        attempt=0,
        plan=None,
        before=plan if run.update.late == "correct" else None,
        late={},
        base=body.base,
        outer_state=body.outer_state,
        record=body.record,
        step_times_us=_times_after(seat, plan, body, run),
        recent=_remembered(seat, body.base),
        released=0,
        discarded=(),
        flops=str(int(seat.flops) + flops),
    )
    state = state.model_copy(update={"flops": str(int(state.flops) + flops)})
    return _end_probation(state, tuple(body.merged), charter)


def _times_after(
    seat: RunSeat, plan: PlanSeat, body: RoundCommitted, run: RunDocument
) -> dict[str, int]:
    """Step times that the next plan goes by."""
    sent = {name: plan.updates[name] for name in body.merged if name in plan.updates}
    return next_times(
        run,
        seat.step_times_us,
        merged={name: (one.train_s, one.steps) for name, one in sent.items()},
        missed=[name for name in plan.granted if name not in plan.updates],
    )


def _check_weights(
    state: State,
    body: RoundCommitted,
    charter: Charter,
    run: RunDocument,
    steps: Mapping[str, int],
) -> None:
    try:
        expected = merge_weights_of(run, tuple(body.merged), steps)
    except DocumentError as error:
        raise StatementRefused(error.message, where="merged") from error
    for name, weight in expected.items():
        if body.merged[name].weight != weight:
            raise StatementRefused(
                f"weight of {name!r} is {body.merged[name].weight}, not {weight}", where="merged"
            )
    owners: dict[str, Fraction] = {}
    for name, weight in expected.items():
        owner = state.members[name].entry.legal_owner
        owners[owner] = owners.get(owner, Fraction(0)) + weight
    for owner, share in owners.items():
        if share > charter.influence.owner_cap:
            raise StatementRefused(
                f"{owner!r} has {share} of the weight, over the charter's cap of"
                f" {charter.influence.owner_cap}",
                where="merged",
            )


def _end_probation(state: State, merged: tuple[str, ...], charter: Charter) -> State:
    members = dict(state.members)
    for name in merged:
        seat = members[name]
        rounds = seat.rounds + 1
        over = seat.standing == "probation" and rounds >= charter.members.probation_rounds
        members[name] = seat.model_copy(
            update={"rounds": rounds, "standing": "full" if over else seat.standing}
        )
    return state.model_copy(update={"members": members})


def void_round(state: State, body: RoundVoid, statement: Statement, run: RunDocument) -> State:
    """A planned round came to no end, or a plan for counts."""
    seat = _sealing(state, statement, run)
    plan = _plan_of_coordinator(seat, statement, body.plan)
    left = sealing.voided(seat, plan)
    return _put(state, statement, seat, plan=None, attempt=seat.attempt + 1, **left)


def measure(state: State, body: Measured | MeasureRefused, statement: Statement) -> State:
    """A member measured a base, or does not; nothing else follows from it."""
    if statement.author.role != "member":
        raise StatementRefused("only members measure")
    seat = _open(state, statement, also_closed=True)
    if seat.recent.get(str(statement.binding.round)) != body.base:
        raise StatementRefused("is not of a base that this run had lately", where="base")
    return state


def close_run(state: State, body: RunClosed, statement: Statement, run: RunDocument) -> State:
    """All rounds have happened."""
    seat = _open(state, statement)
    if seat.rounds != run.rounds.count or seat.base != body.base:
        raise StatementRefused(f"{seat.rounds} of {run.rounds.count} rounds have happened")
    return _put(state, statement, seat, standing="closed")


def of_epoch(
    state: State, body: epochs.EpochStatement, statement: Statement, run: RunDocument
) -> State:
    """A step of an epoch of keys."""
    seat = _sealing(state, statement, run)
    if statement.binding.charter != state.charter:
        raise StatementRefused("is bound to another charter", where="charter")
    return _put_seat(state, statement, epochs.of_epoch(state, seat, body, statement, run))


def of_sealed_round(
    state: State, body: sealing.RoundStatement, statement: Statement, run: RunDocument
) -> State:
    """A step of a sealed round, or of a sealed sum of counts."""
    seat = _sealing(state, statement, run)
    if statement.author.role == "coordinator":
        plan = _plan_of_coordinator(seat, statement, body.plan)
    else:
        plan = _plan(state, seat, statement, body.plan)
    changed = sealing.of_round(seat, plan, body, statement, run)
    if isinstance(body, UpdateCommitted):
        state = spend(state, statement.author.party, body.privacy)
    return _put(state, statement, seat, plan=changed)


def of_counting(
    state: State, body: CountsPlanned | TokenizerLearned, statement: Statement, run: RunDocument
) -> State:
    """A step of learning the tokenizer from sealed counts."""
    seat = state.run(statement.binding.run)
    if not counting.is_learning(seat, run):
        raise StatementRefused("the run does not learn a tokenizer from sealed counts now")
    _check_place(seat, statement)
    if isinstance(body, CountsPlanned):
        changed = counting.plan_counts(state, seat, body, statement, run)
    else:
        changed = counting.learn(seat, body, run)
    return _put_seat(state, statement, changed)


def check_run(run: RunDocument, state: State, charter: Charter) -> None:
    """Whether a run document is one that this charter and these members allow.

    Raises:
        StatementRefused: its roster, owners, cap or quorum are not.
    """
    seated = state.seated()
    for one in run.roster:
        if one.id not in seated:
            raise StatementRefused(f"{one.id!r} is no member", where="roster")
        owner = seated[one.id].entry.legal_owner
        if (one.owner or one.id) != owner:
            raise StatementRefused(f"the legal owner of {one.id!r} is {owner!r}", where="roster")
    if run.update.owner_cap > charter.influence.owner_cap:
        raise StatementRefused(
            f"is {run.update.owner_cap}; the charter allows {charter.influence.owner_cap}",
            where="update.owner_cap",
        )
    if run.rounds.quorum < charter.rounds.quorum:
        raise StatementRefused(
            f"is {run.rounds.quorum}; the charter asks for {charter.rounds.quorum}",
            where="rounds.quorum",
        )
    allowed = charter.influence.merge_rules
    if run.update.merge not in allowed:
        raise StatementRefused(
            f"is {run.update.merge!r}; the charter allows {', '.join(allowed)}",
            where="update.merge",
            remedy="amend influence.merge_rules, knowing what a robust rule does to minorities",
        )
    if run.use.model_licence not in charter.rights.licences:
        raise StatementRefused(
            f"is {run.use.model_licence}; the charter lists {', '.join(charter.rights.licences)}",
            where="use.model_licence",
        )
    if run.mode not in charter.floor.modes:
        raise StatementRefused(f"the charter does not allow {run.mode} mode", where="mode")
    if run.mode == "sealed" and not charter.log.witnessed_before_training:
        raise StatementRefused(
            "sealed mode needs witnesses: the charter must set log.witnessed_before_training, or"
            " members could be shown different survivor sets",
            where="mode",
        )
    _check_probation(run, state, charter)
    try:
        merge_weights_of(run, run.member_ids)
    except DocumentError as error:
        raise StatementRefused(error.message, where="update.owner_cap") from error


def _check_probation(run: RunDocument, state: State, charter: Charter) -> None:
    weights = {one.id: one.weight for one in run.roster}
    new = {name for name in weights if state.members[name].standing == "probation"}
    full = [weight for name, weight in weights.items() if name not in new]
    limit = charter.members.probation_weight * min(full, default=Fraction(1))
    for name in sorted(new):
        if weights[name] > limit:
            raise StatementRefused(
                f"{name!r} is on probation: its weight may be {limit} at most", where="roster"
            )


def _open(state: State, statement: Statement, *, also_closed: bool = False) -> RunSeat:
    seat = state.run(statement.binding.run)
    if seat.standing == "open" or (also_closed and seat.standing == "closed"):
        return seat
    raise StatementRefused(f"the run is {seat.standing}, not open")


def _sealing(state: State, statement: Statement, run: RunDocument) -> RunSeat:
    """The run, if it is open, or learns its tokenizer from sealed counts."""
    seat = state.run(statement.binding.run)
    return seat if counting.is_learning(seat, run) else _open(state, statement)


def _check_place(seat: RunSeat, statement: Statement) -> None:
    if statement.binding.round != seat.rounds:
        raise StatementRefused(
            f"is for round {statement.binding.round}; the run is at {seat.rounds}", where="round"
        )


def _plan(state: State, seat: RunSeat, statement: Statement, digest: Digest) -> PlanSeat:
    """The open plan, as a member of its roster answers it."""
    author = statement.author
    if author.role != "member":
        raise StatementRefused("only members answer a plan")
    plan = _plan_of_coordinator(seat, statement, digest)
    if author.party not in plan.roster:
        raise StatementRefused(f"{author.party!r} is not in the roster")
    if statement.binding.charter != state.charter:
        raise StatementRefused("is bound to another charter", where="charter")
    return plan


def _plan_of_coordinator(seat: RunSeat, statement: Statement, digest: Digest) -> PlanSeat:
    _check_place(seat, statement)
    if seat.plan is None or seat.plan.digest != digest:
        raise StatementRefused("is not about the plan that is open", where="plan")
    return seat.plan


def _remembered(seat: RunSeat, base: Digest) -> dict[str, Digest]:
    recent = {**seat.recent, str(seat.rounds + 1): base}
    oldest = seat.rounds + 1 - REMEMBERED_BASES
    return {number: digest for number, digest in recent.items() if int(number) > oldest}


def _put(state: State, statement: Statement, seat: RunSeat, **changes: object) -> State:
    return _put_seat(state, statement, seat.model_copy(update=changes))


def _put_seat(state: State, statement: Statement, seat: RunSeat) -> State:
    run: Digest = statement.binding.run or ""
    return state.model_copy(update={"runs": put(state.runs, run, seat)})
