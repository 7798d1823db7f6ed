"""How the state changes in a sealed round, and in a sealed sum of counts before the first round.

What must never happen twice is refused here, for whoever reads the log: a second masking set or
survivor set of a cohort in one attempt, a second update, an update from an earlier attempt, a
third attempt once two sums may be known. What ciphertexts and shares hold is not looked at here;
members and verifiers do that. How keys come to be stands in `epochs`.
"""

from __future__ import annotations

from collections.abc import Iterable

from concord.base.errors import StatementRefused
from concord.charter.run import RunDocument
from concord.crypto.base64text import from_base64
from concord.crypto.seal import Cohort, Setup, Unmask
from concord.ledger.state.epochs import must_renew, refusing, seal_of
from concord.ledger.state.model import PlanSeat, RunSeat, SealedSeat, UpdateSeat, put
from concord.ledger.statements.rounds import RoundPlan
from concord.ledger.statements.sealing import (
    MaskingSet,
    SealSetUp,
    SurvivorSet,
    Unmasked,
    UpdateCommitted,
)
from concord.ledger.statements.statement import Statement

MAX_RELEASED = 2
"""Attempts at one round whose sums may become known: each is another sum of like updates."""
RoundStatement = SealSetUp | MaskingSet | UpdateCommitted | SurvivorSet | Unmasked


def of_round(
    seat: RunSeat, plan: PlanSeat, body: RoundStatement, statement: Statement, run: RunDocument
) -> PlanSeat:
    """The plan after a step of its sealed round.

    Raises:
        StatementRefused: it may not be taken now.
    """
    party = statement.author.party
    match body:
        case SealSetUp():
            return set_up(seat, plan, body, party)
        case MaskingSet():
            return name_masking_set(seat, plan, body, run)
        case UpdateCommitted():
            return commit_update(seat, plan, body, statement)
        case SurvivorSet():
            return name_survivors(seat, plan, body, run)
        case Unmasked():
            return unmask(seat, plan, body, party)


def open_sealed(seat: RunSeat, body: RoundPlan, run: RunDocument, now: int) -> SealedSeat:
    """What a sealed plan needs besides what every plan needs."""
    epoch = seat.epoch
    if epoch is None or body.epoch != epoch.digest or body.scales is None:
        raise StatementRefused("is not of the epoch that is in use", where="epoch")
    if why := must_renew(seat, run, now):
        raise StatementRefused(f"new keys are needed: {why}", where="epoch")
    if seat.released >= MAX_RELEASED:
        raise StatementRefused(
            f"the sums of {seat.released} attempts at this round may be known: another would tell"
            " more of single updates",
            remedy="start a new run from this base",
        )
    return SealedSeat(epoch=epoch.digest, scales=body.scales)


def set_up(seat: RunSeat, plan: PlanSeat, body: SealSetUp, party: str) -> PlanSeat:
    """A member's tags, commitments and encrypted shares."""
    sealed, number = _sealed(plan), _cohort(seat, party)
    if party not in plan.granted:
        raise StatementRefused("a set-up needs a grant first")
    if party in sealed.set_up:
        raise StatementRefused("was set up for this plan before")
    if str(number) in sealed.masking:
        raise StatementRefused("comes after the masking set")
    members = _cohorts(seat)[number]
    with refusing():
        member = Setup.decode(from_base64(body.content), len(members)).member
    if members[member] != party:
        raise StatementRefused("is another member's", where="content")
    return _plan_with(plan, set_up=tuple(sorted({*sealed.set_up, party})))


def name_masking_set(seat: RunSeat, plan: PlanSeat, body: MaskingSet, run: RunDocument) -> PlanSeat:
    """Whose masks a cohort's updates carry: once."""
    sealed, cohort = _sealed(plan), _numbered(seat, body.cohort, run)
    if str(body.cohort) in sealed.masking:
        raise StatementRefused("the masking set was named before: there is one per attempt")
    _subset(body.members, set(cohort.members) & set(sealed.set_up), "was not set up")
    _enough(body.members, cohort)
    return _plan_with(plan, masking=put(sealed.masking, str(body.cohort), body.members))


def commit_update(
    seat: RunSeat, plan: PlanSeat, body: UpdateCommitted, statement: Statement
) -> PlanSeat:
    """A member's masked update, by digest."""
    sealed, party = _sealed(plan), statement.author.party
    number = str(_cohort(seat, party))
    if party not in sealed.masking.get(number, ()):
        raise StatementRefused("an update needs a masking set with its sender first")
    if party in plan.updates:
        raise StatementRefused("sent an update for this plan before")
    if party in plan.refused:
        raise StatementRefused("refused this plan before")
    if number in sealed.survivors:
        raise StatementRefused("comes after the survivor set")
    if body.update in seat.discarded:
        raise StatementRefused("was sent in an earlier attempt, and must be trained anew")
    if body.base != plan.base:
        raise StatementRefused("starts from another base", where="base")
    if body.steps > plan.inner_steps:
        raise StatementRefused("declares more work than was planned", where="steps")
    sent = UpdateSeat(
        header=statement.digest,
        update=body.update,
        steps=body.steps,
        tokens=body.tokens,
        flops=body.flops,
    )
    return plan.model_copy(update={"updates": put(plan.updates, party, sent)})


def name_survivors(seat: RunSeat, plan: PlanSeat, body: SurvivorSet, run: RunDocument) -> PlanSeat:
    """Whose updates a cohort's sum has: once."""
    sealed, cohort = _sealed(plan), _numbered(seat, body.cohort, run)
    number = str(body.cohort)
    if number in sealed.survivors:
        raise StatementRefused("the survivor set was named before: there is one per attempt")
    _subset(body.members, set(sealed.masking.get(number, ())), "is not in the masking set")
    _subset(body.members, set(plan.updates), "sent no update")
    _enough(body.members, cohort)
    return _plan_with(plan, survivors=put(sealed.survivors, number, body.members))


def unmask(seat: RunSeat, plan: PlanSeat, body: Unmasked, party: str) -> PlanSeat:
    """A survivor's shares: once."""
    sealed = _sealed(plan)
    if party not in sealed.survivors.get(str(_cohort(seat, party)), ()):
        raise StatementRefused("only survivors unmask, after the survivor set")
    with refusing():
        member = Unmask.decode(from_base64(body.content)).member
    if _cohorts(seat)[_cohort(seat, party)].index(party) != member:
        raise StatementRefused("is another member's", where="content")
    if party in sealed.unmasked:
        raise StatementRefused("unmasked before: a second time could open what must stay closed")
    return _plan_with(plan, unmasked=tuple(sorted({*sealed.unmasked, party})))


def check_merged(seat: RunSeat, plan: PlanSeat, merged: Iterable[str], run: RunDocument) -> None:
    """See that whole cohorts were merged, each with enough shares to be unmasked.

    Raises:
        StatementRefused: they were not.
    """
    sealed, left = _sealed(plan), set(merged)
    for number, survivors in sealed.survivors.items():
        if left >= set(survivors):
            left -= set(survivors)
            answers = set(sealed.unmasked) & set(survivors)
            needed = _numbered(seat, int(number), run).threshold
            if len(answers) < needed:
                raise StatementRefused(
                    f"{len(answers)} members of cohort {number} unmasked; {needed} are needed",
                    where="merged",
                )
    if left:
        raise StatementRefused(
            f"{', '.join(sorted(left))} cannot be merged without the whole survivor set",
            where="merged",
        )


def voided(seat: RunSeat, plan: PlanSeat) -> dict[str, object]:
    """What an attempt that came to nothing leaves behind."""
    sealed = plan.sealed
    if sealed is None:
        return {}
    discarded = {*seat.discarded, *(sent.update for sent in plan.updates.values())}
    return {
        "released": seat.released + bool(sealed.survivors),
        "discarded": tuple(sorted(discarded)),
    }


# --- parts ----------------------------------------------------------------------------------


def _sealed(plan: PlanSeat) -> SealedSeat:
    if plan.sealed is None:
        raise StatementRefused("the round is in open mode")
    return plan.sealed


def _plan_with(plan: PlanSeat, **changes: object) -> PlanSeat:
    return plan.model_copy(update={"sealed": _sealed(plan).model_copy(update=changes)})


def _cohort(seat: RunSeat, party: str) -> int:
    number = None if seat.epoch is None else seat.epoch.cohort_of(party)
    if number is None:
        raise StatementRefused(f"{party!r} is in no cohort")
    return number


def _cohorts(seat: RunSeat) -> tuple[tuple[str, ...], ...]:
    return () if seat.epoch is None else seat.epoch.cohorts


def _numbered(seat: RunSeat, number: int, run: RunDocument) -> Cohort:
    cohorts = _cohorts(seat)
    if number >= len(cohorts):
        raise StatementRefused(f"there is no cohort {number}", where="cohort")
    return Cohort(cohorts[number], seal_of(run).min_survivors)


def _subset(members: Iterable[str], allowed: set[str], fault: str) -> None:
    if wrong := [member for member in members if member not in allowed]:
        raise StatementRefused(f"{wrong[0]!r} {fault}", where="members")


def _enough(members: tuple[str, ...], cohort: Cohort) -> None:
    if len(members) < cohort.least:
        raise StatementRefused(
            f"{len(members)} members of {cohort.size}; a sealed sum needs {cohort.least}",
            where="members",
        )
