"""How a run begins and ends, what of it may be measured, and which document may be adopted."""

from __future__ import annotations

from fractions import Fraction

from concord.base.errors import DocumentError, StatementRefused
from concord.charter.constitution import Charter
from concord.charter.run import RunDocument
from concord.ledger.arithmetic import merge_weights_of
from concord.ledger.state import counting
from concord.ledger.state.model import State
from concord.ledger.state.places import open_seat, put_run
from concord.ledger.statements.rounds import Measured, MeasureRefused, RunClosed, RunOpening
from concord.ledger.statements.statement import Statement


def open_run(state: State, body: RunOpening, statement: Statement, run: RunDocument) -> State:
    """An adopted run begins."""
    seat = state.run(statement.binding.run)
    if seat.standing != "adopted":
        raise StatementRefused(f"the run is {seat.standing} already")
    if run.gate.enabled != (body.probes is not None):
        raise StatementRefused("must name probes if the run has a gate, and only then")
    counting.check_opening(seat, body, run)
    return put_run(
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


def measure(state: State, body: Measured | MeasureRefused, statement: Statement) -> State:
    """A member measured a base, or does not; nothing else follows from it."""
    if statement.author.role != "member":
        raise StatementRefused("only members measure")
    seat = open_seat(state, statement, also_closed=True)
    if seat.recent.get(str(statement.binding.round)) != body.base:
        raise StatementRefused("is not of a base that this run had lately", where="base")
    return state


def close_run(state: State, body: RunClosed, statement: Statement, run: RunDocument) -> State:
    """All rounds have happened."""
    seat = open_seat(state, statement)
    if seat.rounds != run.rounds.count or seat.base != body.base:
        raise StatementRefused(f"{seat.rounds} of {run.rounds.count} rounds have happened")
    return put_run(state, statement, seat, standing="closed")


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
