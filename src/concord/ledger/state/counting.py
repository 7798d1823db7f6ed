"""How the state changes while a sealed run learns its tokenizer: after its adoption, before rounds.

Counts of a text stay the same however often they are asked for. Two sums over other members would
tell the difference between them, so a survivor set is named once in the life of a run: if its sum
cannot be opened, the tokenizer is learned from the public list alone.
"""

from __future__ import annotations

from concord.base.errors import StatementRefused
from concord.charter.run import RunDocument
from concord.ledger.state import sealing
from concord.ledger.state.epochs import must_renew, sealed_roster
from concord.ledger.state.model import PlanSeat, RunSeat, SealedSeat, State
from concord.ledger.statements.counting import CountsPlanned, TokenizerLearned
from concord.ledger.statements.rounds import RunOpening
from concord.ledger.statements.statement import Statement


def seals_counts(run: RunDocument) -> bool:
    """Whether members of a run give counts for its tokenizer in sealed sums alone."""
    return run.seal is not None and run.seal.tokenizer


def is_learning(seat: RunSeat, run: RunDocument) -> bool:
    """Whether the run is before its first round and has no tokenizer yet."""
    return seals_counts(run) and seat.standing == "adopted" and seat.tokenizer is None


def plan_counts(
    state: State, seat: RunSeat, body: CountsPlanned, statement: Statement, run: RunDocument
) -> RunSeat:
    """The coordinator asks for counts."""
    epoch, now = seat.epoch, statement.time
    if seat.plan is not None:
        raise StatementRefused("the plan before it has not come to an end")
    if seat.released:
        raise StatementRefused(
            "the sum of members' counts may be known: another would tell more of single members",
            remedy="learn the tokenizer from the list alone",
        )
    if halted := state.halt_of_all(now):
        raise StatementRefused(f"all are halted: {state.halts[halted].reason}", where=halted)
    if (body.term, body.attempt) != (state.term, seat.attempt):
        raise StatementRefused(f"must be attempt {seat.attempt} in term {state.term}")
    if epoch is None or body.epoch != epoch.digest:
        raise StatementRefused("is not of the epoch that is in use", where="epoch")
    if why := must_renew(seat, run, now):
        raise StatementRefused(f"new keys are needed: {why}", where="epoch")
    if body.merges != epoch.agreed_coverage:
        raise StatementRefused("is not the list that members agreed on", where="merges")
    if body.roster != sealed_roster(state, seat, run, now):
        raise StatementRefused("is not all who gave keys and may take part", where="roster")
    plan = PlanSeat(
        digest=statement.digest,
        roster=body.roster,
        base=body.merges,
        inner_steps=0,
        quorum="1",
        mode="sealed",
        granted=body.roster,
        sealed=SealedSeat(epoch=epoch.digest, scales=body.merges),
    )
    used = epoch.model_copy(update={"used": True})
    return seat.model_copy(update={"plan": plan, "epoch": used})


def learn(seat: RunSeat, body: TokenizerLearned, run: RunDocument) -> RunSeat:
    """The tokenizer is there."""
    epoch, plan = seat.epoch, seat.plan
    if epoch is None or body.epoch != epoch.digest or body.merges != epoch.agreed_coverage:
        raise StatementRefused("is not of the list that members agreed on", where="merges")
    if (None if plan is None else plan.digest) != body.plan:
        raise StatementRefused("is not of the plan that is open", where="plan")
    if plan is not None:
        for member, counts in body.counts.items():
            sent = plan.updates.get(member)
            if sent is None or sent.update != counts:
                raise StatementRefused(f"{member!r} did not send these counts", where="counts")
        sealing.check_merged(seat, plan, body.counts, run)
    return seat.model_copy(update={"tokenizer": body.tokenizer, "plan": None, **_AFTERWARDS})


def check_opening(seat: RunSeat, body: RunOpening, run: RunDocument) -> None:
    """A run opens with the tokenizer that it learned.

    Raises:
        StatementRefused: with another one, or in the middle of learning.
    """
    if not seals_counts(run):
        return
    if seat.plan is not None:
        raise StatementRefused("the plan for counts has not come to an end")
    if body.tokenizer != seat.tokenizer:
        raise StatementRefused("is not the one that was learned", where="tokenizer")


_AFTERWARDS = {"epoch": None, "attempt": 0, "released": 0, "discarded": ()}
"""Rounds begin with keys, cohorts and sums of their own."""
