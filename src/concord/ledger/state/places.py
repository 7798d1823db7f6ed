"""Which run, round and plan a statement speaks of, and where what it changes is put."""

from __future__ import annotations

from concord.base.digest import Digest
from concord.base.errors import StatementRefused
from concord.charter.run import RunDocument
from concord.ledger.state import counting
from concord.ledger.state.model import PlanSeat, RunSeat, State, put
from concord.ledger.statements.statement import Statement


def open_seat(state: State, statement: Statement, *, also_closed: bool = False) -> RunSeat:
    seat = state.run(statement.binding.run)
    if seat.standing == "open" or (also_closed and seat.standing == "closed"):
        return seat
    raise StatementRefused(f"the run is {seat.standing}, not open")


def sealing_seat(state: State, statement: Statement, run: RunDocument) -> RunSeat:
    """The run, if it is open, or learns its tokenizer from sealed counts."""
    seat = state.run(statement.binding.run)
    return seat if counting.is_learning(seat, run) else open_seat(state, statement)


def check_place(seat: RunSeat, statement: Statement) -> None:
    if statement.binding.round != seat.rounds:
        raise StatementRefused(
            f"is for round {statement.binding.round}; the run is at {seat.rounds}", where="round"
        )


def answered_plan(state: State, seat: RunSeat, statement: Statement, digest: Digest) -> PlanSeat:
    """The open plan, as a member of its roster answers it."""
    author = statement.author
    if author.role != "member":
        raise StatementRefused("only members answer a plan")
    plan = open_plan(seat, statement, digest)
    if author.party not in plan.roster:
        raise StatementRefused(f"{author.party!r} is not in the roster")
    if statement.binding.charter != state.charter:
        raise StatementRefused("is bound to another charter", where="charter")
    return plan


def open_plan(seat: RunSeat, statement: Statement, digest: Digest) -> PlanSeat:
    check_place(seat, statement)
    if seat.plan is None or seat.plan.digest != digest:
        raise StatementRefused("is not about the plan that is open", where="plan")
    return seat.plan


def put_run(state: State, statement: Statement, seat: RunSeat, **changes: object) -> State:
    return put_seat(state, statement, seat.model_copy(update=changes))


def put_seat(state: State, statement: Statement, seat: RunSeat) -> State:
    run: Digest = statement.binding.run or ""
    return state.model_copy(update={"runs": put(state.runs, run, seat)})
