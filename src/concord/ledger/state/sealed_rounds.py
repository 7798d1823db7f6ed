"""How the statements of sealed rounds and sealed counts change the run they speak of."""

from __future__ import annotations

from concord.base.errors import StatementRefused
from concord.charter.run import RunDocument
from concord.ledger.state import counting, epochs, sealing
from concord.ledger.state.model import State
from concord.ledger.state.places import (
    answered_plan,
    check_place,
    open_plan,
    put_run,
    put_seat,
    sealing_seat,
)
from concord.ledger.state.privacy import spend
from concord.ledger.statements.counting import CountsPlanned, TokenizerLearned
from concord.ledger.statements.sealing import UpdateCommitted
from concord.ledger.statements.statement import Statement


def of_epoch(
    state: State, body: epochs.EpochStatement, statement: Statement, run: RunDocument
) -> State:
    """A step of an epoch of keys."""
    seat = sealing_seat(state, statement, run)
    if statement.binding.charter != state.charter:
        raise StatementRefused("is bound to another charter", where="charter")
    return put_seat(state, statement, epochs.of_epoch(state, seat, body, statement, run))


def of_sealed_round(
    state: State, body: sealing.RoundStatement, statement: Statement, run: RunDocument
) -> State:
    """A step of a sealed round, or of a sealed sum of counts."""
    seat = sealing_seat(state, statement, run)
    if statement.author.role == "coordinator":
        plan = open_plan(seat, statement, body.plan)
    else:
        plan = answered_plan(state, seat, statement, body.plan)
    changed = sealing.of_round(seat, plan, body, statement, run)
    if isinstance(body, UpdateCommitted):
        state = spend(state, statement.author.party, body.privacy)
    return put_run(state, statement, seat, plan=changed)


def of_counting(
    state: State, body: CountsPlanned | TokenizerLearned, statement: Statement, run: RunDocument
) -> State:
    """A step of learning the tokenizer from sealed counts."""
    seat = state.run(statement.binding.run)
    if not counting.is_learning(seat, run):
        raise StatementRefused("the run does not learn a tokenizer from sealed counts now")
    check_place(seat, statement)
    if isinstance(body, CountsPlanned):
        changed = counting.plan_counts(state, seat, body, statement, run)
    else:
        changed = counting.learn(seat, body, run)
    return put_seat(state, statement, changed)
