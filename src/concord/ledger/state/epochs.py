"""How the state changes while members make keys: an epoch, from the call for keys to the secrets.

    seal-epoch ─► key-epoch… ─► key-set ─► seal-beacon… ─► seal-cohorts ─► key-seal…

Cohorts are drawn again, and must come out the same. What ciphertexts hold is not looked at here;
members and verifiers do that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from concord.base.digest import Digest
from concord.base.errors import SealRefused, StatementRefused
from concord.charter.run import RunDocument
from concord.charter.run_rules import cohort_count
from concord.charter.run_sections import SealSpec
from concord.crypto.base64text import from_base64
from concord.crypto.seal import (
    EpochKey,
    beacon_commitment,
    draw_cohorts,
    draw_seed,
    epoch_digest,
)
from concord.crypto.seal.epoch import SEALED_BYTES
from concord.ledger.state.model import EpochSeat, RunSeat, State, put
from concord.ledger.statements.sealing import (
    BeaconShown,
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
    KeyShown,
    KeysSealed,
)
from concord.ledger.statements.statement import Statement

DAY_S = 86_400


EpochStatement = EpochOpened | KeyShown | KeysClosed | BeaconShown | CohortsDrawn | KeysSealed


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


def able(state: State, run: RunDocument, now: int) -> tuple[str, ...]:
    """Members of a run that may take part at this time."""
    bound = set(state.bound(now))
    return tuple(m for m in run.member_ids if m in bound and state.halt_of(m, now) is None)


def must_renew(seat: RunSeat, run: RunDocument, now: int) -> str:
    """Why no round can be called before keys are made anew; empty if one can."""
    seal, epoch = seal_of(run), seat.epoch
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
    seal, epoch, wanted = seal_of(run), seat.epoch, able(state, run, now)
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
    seal_of(run)
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
    with refusing():
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
    if len(listed) < seal_of(run).min_survivors:
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
    seal = seal_of(run)
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
    with refusing():
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


# --- parts ----------------------------------------------------------------------------------


@contextmanager
def refusing() -> Iterator[None]:
    """Turns what the protocol refuses into a refused statement."""
    try:
        yield
    except SealRefused as error:
        raise StatementRefused(error.message, where=error.where) from error


def seal_of(run: RunDocument) -> SealSpec:
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
