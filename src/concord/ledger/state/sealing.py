"""How the state changes in sealed mode: epochs of keys, and the steps of a sealed round.

What must never happen twice is refused here, for whoever reads the log: a second masking set or
survivor set of a cohort in one attempt, a second update, an update from an earlier attempt, a
third attempt once two sums may be known. Cohorts are drawn again, and must come out the same. What
ciphertexts and shares hold is not looked at here; members and verifiers do that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from concord.base.digest import Digest
from concord.base.errors import SealRefused, StatementRefused
from concord.charter.run import RunDocument, SealSpec, cohort_count
from concord.crypto.base64text import from_base64
from concord.crypto.seal import (
    Cohort,
    EpochKey,
    Setup,
    Unmask,
    beacon_commitment,
    draw_cohorts,
    draw_seed,
    epoch_digest,
)
from concord.crypto.seal.epoch import SEALED_BYTES
from concord.ledger.state.model import (
    EpochSeat,
    PlanSeat,
    RunSeat,
    SealedSeat,
    State,
    UpdateSeat,
    put,
)
from concord.ledger.statements.rounds import RoundPlan
from concord.ledger.statements.sealing import (
    BeaconShown,
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
    KeyShown,
    KeysSealed,
    MaskingSet,
    SealSetUp,
    SurvivorSet,
    Unmasked,
    UpdateCommitted,
)
from concord.ledger.statements.statement import Statement

MAX_RELEASED = 2
"""Attempts at one round whose sums may become known: each is another sum of like updates."""
DAY_S = 86_400


EpochStatement = EpochOpened | KeyShown | KeysClosed | BeaconShown | CohortsDrawn | KeysSealed
RoundStatement = SealSetUp | MaskingSet | UpdateCommitted | SurvivorSet | Unmasked


def of_epoch(
    state: State, seat: RunSeat, body: EpochStatement, statement: Statement, run: RunDocument
) -> RunSeat:
    """The run after a step of an epoch.

    Raises:
        StatementRefused: it may not be taken now.
    """
    match body:
        case EpochOpened():
            return open_epoch(state, seat, body, statement, run)
        case KeyShown():
            return show_key(seat, body, statement)
        case KeysClosed():
            return close_keys(seat, body, statement, run)
        case BeaconShown():
            return show_beacon(seat, body, statement)
        case CohortsDrawn():
            return draw(seat, body, run)
        case KeysSealed():
            return seal_keys(seat, body, statement)


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


# --- epochs ---------------------------------------------------------------------------------


def able(state: State, run: RunDocument, now: int) -> tuple[str, ...]:
    """Members of a run that may take part at this time."""
    bound = set(state.bound(now))
    return tuple(m for m in run.member_ids if m in bound and state.halt_of(m, now) is None)


def must_renew(seat: RunSeat, run: RunDocument, now: int) -> str:
    """Why no round can be called before keys are made anew; empty if one can."""
    seal, epoch = _seal(run), seat.epoch
    if epoch is None:
        return "the run begins"
    if now - epoch.began > seal.epoch_days * DAY_S:
        return f"the epoch is older than {seal.epoch_days} days"
    if not epoch.cohorts or not any(usable(epoch)):
        return "too few members gave keys"
    return ""


def may_renew(state: State, seat: RunSeat, run: RunDocument, now: int) -> str:
    """Why keys may be made anew; empty if they may not.

    Never more often than needed: sums over ever other cohorts could be solved for one member. Where
    there is one cohort, nothing is drawn, and a member that missed the last epoch may come in.
    """
    seal, epoch, wanted = _seal(run), seat.epoch, able(state, run, now)
    if epoch is None or (why := must_renew(seat, run, now)):
        return "the run begins" if epoch is None else why
    if not epoch.used and not all(usable(epoch)):
        return "a cohort lacks secrets of its members"
    if new := [m for m in wanted if m not in epoch.members]:
        return f"{new[0]} has come"
    cohorts = max(len(epoch.cohorts), cohort_count(len(wanted), seal.cohort_target))
    if cohorts == 1 and (back := [m for m in wanted if m not in epoch.sealed]):
        return f"{back[0]} has come back"
    return ""


def usable(epoch: EpochSeat) -> list[bool]:
    """Whether all members of each cohort sealed their secrets: each shares one with each."""
    return [set(members) <= set(epoch.sealed) for members in epoch.cohorts]


def open_epoch(
    state: State, seat: RunSeat, body: EpochOpened, statement: Statement, run: RunDocument
) -> RunSeat:
    """The coordinator asks for keys."""
    _seal(run)
    if seat.plan is not None:
        raise StatementRefused("a round is going on")
    number = 0 if seat.epoch is None else seat.epoch.number + 1
    if body.number != number:
        raise StatementRefused(f"must be epoch {number}", where="number")
    if not may_renew(state, seat, run, statement.time):
        raise StatementRefused("the epoch before it is in use, and needs no other")
    if body.members != (wanted := able(state, run, statement.time)):
        raise StatementRefused(f"must ask {', '.join(wanted) or 'nobody'}", where="members")
    epoch = EpochSeat(
        digest=statement.digest, number=number, began=statement.time, members=body.members
    )
    return seat.model_copy(update={"epoch": epoch})


def show_key(seat: RunSeat, body: KeyShown, statement: Statement) -> RunSeat:
    """A member's key."""
    epoch, party = _epoch(seat, body.epoch), _member(statement)
    if epoch.closed is not None:
        raise StatementRefused("comes after the list of keys was closed")
    if party not in epoch.members:
        raise StatementRefused(f"{party!r} was not asked for a key")
    if party in epoch.keys:
        raise StatementRefused("gave its key before")
    keys = put(epoch.keys, party, body.content)
    with _refusing():
        epoch_digest([EpochKey.decode(from_base64(key)) for key in keys.values()])
    return _with(
        seat,
        keys=keys,
        statements=put(epoch.statements, party, statement.digest),
        coverage=put(epoch.coverage, party, body.coverage),
    )


def on_the_list(epoch: EpochSeat) -> dict[str, Digest]:
    """Statements of the members whose keys count: of those that found the same, the most."""
    votes = Counter(epoch.coverage.values())
    agreed = min(votes, key=lambda digest: (-votes[digest], digest), default=None)
    return {m: epoch.statements[m] for m in sorted(epoch.keys) if epoch.coverage[m] == agreed}


def close_keys(seat: RunSeat, body: KeysClosed, statement: Statement, run: RunDocument) -> RunSeat:
    """No key comes after this."""
    epoch = _epoch(seat, body.epoch)
    if epoch.closed is not None:
        raise StatementRefused("the list of keys was closed before")
    if body.keys != (listed := on_the_list(epoch)):
        raise StatementRefused("is not the list of all keys that agree", where="keys")
    if len(listed) < _seal(run).min_survivors:
        raise StatementRefused(f"{len(listed)} keys are too few for a sealed sum", where="keys")
    keys = {member: epoch.keys[member] for member in listed}
    return _with(seat, closed=statement.digest, keys=keys)


def show_beacon(seat: RunSeat, body: BeaconShown, statement: Statement) -> RunSeat:
    """A member opens its commitment."""
    epoch, party = _epoch(seat, body.epoch), _member(statement)
    if epoch.closed is None or epoch.cohorts:
        raise StatementRefused("beacons are shown between the list of keys and the draw")
    if party not in epoch.keys:
        raise StatementRefused(f"{party!r} has no key on the list")
    if party in epoch.beacons:
        raise StatementRefused("showed its beacon before")
    key = EpochKey.decode(from_base64(epoch.keys[party]))
    if beacon_commitment(party, bytes.fromhex(body.beacon)) != key.beacon_commitment:
        raise StatementRefused("is not the beacon it committed to", where="beacon")
    return _with(seat, beacons=put(epoch.beacons, party, body.beacon))


def drawn_cohorts(epoch: EpochSeat, run: RunDocument) -> tuple[tuple[str, ...], ...]:
    """The cohorts that follow from the beacons.

    Raises:
        SealRefused: too few members showed theirs.
    """
    seal = _seal(run)
    owners = {member.id: member.owner or member.id for member in run.roster}
    seed = draw_seed(
        bytes.fromhex((epoch.closed or "").removeprefix("sha256:")),
        {
            member: EpochKey.decode(from_base64(key)).beacon_commitment
            for member, key in epoch.keys.items()
        },
        {member: bytes.fromhex(beacon) for member, beacon in epoch.beacons.items()},
    )
    found = draw_cohorts(
        seed,
        {member: owners[member] for member in epoch.beacons},
        target=seal.cohort_target,
        min_survivors=seal.min_survivors,
    )
    return tuple(cohort.members for cohort in found)


def draw(seat: RunSeat, body: CohortsDrawn, run: RunDocument) -> RunSeat:
    """Who is masked with whom, until the epoch is over."""
    epoch = _epoch(seat, body.epoch)
    if epoch.closed is None or epoch.cohorts:
        raise StatementRefused("cohorts are drawn once, after the list of keys")
    with _refusing():
        expected = drawn_cohorts(epoch, run)
    if body.cohorts != expected:
        raise StatementRefused("are not those that follow from the beacons", where="cohorts")
    return _with(seat, cohorts=body.cohorts)


def seal_keys(seat: RunSeat, body: KeysSealed, statement: Statement) -> RunSeat:
    """A member's secrets for the others of its cohort."""
    epoch, party = _epoch(seat, body.epoch), _member(statement)
    number = epoch.cohort_of(party)
    if number is None:
        raise StatementRefused(f"{party!r} is in no cohort")
    if party in epoch.sealed:
        raise StatementRefused("sealed its secrets before")
    if len(from_base64(body.content)) != SEALED_BYTES * (len(epoch.cohorts[number]) - 1):
        raise StatementRefused("is not one secret for each other member", where="content")
    return _with(seat, sealed=tuple(sorted({*epoch.sealed, party})))


# --- rounds ---------------------------------------------------------------------------------


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


def sealed_roster(state: State, seat: RunSeat, run: RunDocument, now: int) -> tuple[str, ...]:
    """Members that a sealed round is called with: able, and with secrets in a usable cohort."""
    epoch = seat.epoch
    if epoch is None:
        return ()
    in_use = {
        member
        for members, good in zip(epoch.cohorts, usable(epoch), strict=True)
        for member in members
        if good and member in epoch.sealed
    }
    return tuple(m for m in able(state, run, now) if m in in_use)


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
    with _refusing():
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
    with _refusing():
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


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns what the protocol refuses into a refused statement."""
    try:
        yield
    except SealRefused as error:
        raise StatementRefused(error.message, where=error.where) from error


def _seal(run: RunDocument) -> SealSpec:
    if run.seal is None:
        raise StatementRefused("the run is in open mode: it has no keys, masks and survivor sets")
    return run.seal


def _epoch(seat: RunSeat, digest: Digest) -> EpochSeat:
    if seat.epoch is None or seat.epoch.digest != digest:
        raise StatementRefused("is not about the epoch that is open", where="epoch")
    return seat.epoch


def _with(seat: RunSeat, **changes: object) -> RunSeat:
    assert seat.epoch is not None  # noqa: S101 - callers looked
    return seat.model_copy(update={"epoch": seat.epoch.model_copy(update=changes)})


def _member(statement: Statement) -> str:
    if statement.author.role != "member":
        raise StatementRefused("only members answer")
    return statement.author.party


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
    return Cohort(cohorts[number], _seal(run).min_survivors)


def _subset(members: Iterable[str], allowed: set[str], fault: str) -> None:
    if wrong := [member for member in members if member not in allowed]:
        raise StatementRefused(f"{wrong[0]!r} {fault}", where="members")


def _enough(members: tuple[str, ...], cohort: Cohort) -> None:
    if len(members) < cohort.least:
        raise StatementRefused(
            f"{len(members)} members of {cohort.size}; a sealed sum needs {cohort.least}",
            where="members",
        )
