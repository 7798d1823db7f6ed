"""How a round is committed: by its quorum, with the updates that were sent, at the exact weights.

That the numbers are right (each base from the base before and the updates) is not decided here
but recomputed by `concord.ledger.replay`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from concord.base.digest import Digest
from concord.base.errors import DocumentError, StatementRefused
from concord.charter.constitution import Charter
from concord.charter.pace import next_times
from concord.charter.run import RunDocument
from concord.ledger.arithmetic import merge_weights_of
from concord.ledger.state import gates, sealing
from concord.ledger.state.model import PlanSeat, RunSeat, State
from concord.ledger.state.places import open_plan, open_seat, put_run
from concord.ledger.statements.rounds import RoundCommitted
from concord.ledger.statements.statement import Statement

REMEMBERED_BASES = 16


def commit_round(
    state: State, body: RoundCommitted, statement: Statement, charter: Charter, run: RunDocument
) -> State:
    """A round has happened."""
    seat = open_seat(state, statement)
    plan = open_plan(seat, statement, body.plan)
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
    state = put_run(
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


def _remembered(seat: RunSeat, base: Digest) -> dict[str, Digest]:
    recent = {**seat.recent, str(seat.rounds + 1): base}
    oldest = seat.rounds + 1 - REMEMBERED_BASES
    return {number: digest for number, digest in recent.items() if int(number) > oldest}
