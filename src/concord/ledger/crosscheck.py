"""What is said twice must agree: a round's statement, its record, its updates, and its numbers.

The fold looks at statements one by one and reads no objects but charters and run documents. Here
the records among the objects are held against them, and sums over the whole log are made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from concord.base.digest import Digest
from concord.base.errors import ConcordError, VerificationFailed
from concord.base.objects import ObjectStore
from concord.ledger.account import CommittedRound, RunAccount, Sent
from concord.ledger.replay import ReplayedRound
from concord.ledger.round_record import MAX_RECORD_BYTES, Contribution, RoundRecord
from concord.ledger.state.model import State
from concord.ledger.statements.rounds import UpdateSent


@dataclass(frozen=True)
class Agreement:
    """How much was compared."""

    records: int = 0
    measurements: int = 0
    flops: int = 0
    """Declared by all members, in all runs."""


def check_run(
    run: RunAccount, objects: ObjectStore, replayed: Mapping[int, ReplayedRound]
) -> Agreement:
    """Compare everything that is said of a run.

    Args:
        replayed: Rounds that were computed again, by number; their norms are compared too.

    Raises:
        VerificationFailed: names the first thing that differs, and both values.
    """
    previous = _check_opening(run, objects)
    for one in run.rounds:
        record = _read(objects, one.body.record, one.place)
        _check_record(run, one, record, previous, objects)
        if one.number in replayed:
            _check_norms(one, record, replayed[one.number])
        previous = one.body.record
    bases = dict(run.bases())
    for measured in run.measurements:
        _same("base", measured.body.base, bases.get(measured.number), measured.place)
    return Agreement(len(run.rounds) + 1, len(run.measurements), _flops(run))


def check_compute(runs: Iterable[RunAccount], state: State) -> None:
    """Sum the declared compute of all rounds again.

    Raises:
        VerificationFailed: the state holds another sum.
    """
    total = 0
    for run in runs:
        flops = _flops(run)
        _same("sum of declared FLOPs", state.runs[run.document].flops, str(flops), run.place)
        total += flops
    _same("joint sum of declared FLOPs", state.flops, str(total), "state")


def _flops(run: RunAccount) -> int:
    return sum(
        sent.flops for one in run.rounds for sent in (*one.sent.values(), *one.late.values())
    )


def _check_opening(run: RunAccount, objects: ObjectStore) -> Digest:
    opening = run.opening
    record = _read(objects, opening.record, run.place)
    expected = RoundRecord(
        run=run.document,
        round=0,
        previous=None,
        base=opening.first_base,
        tokenizer=opening.tokenizer,
        next_scales=record.next_scales,
        seconds=record.seconds,
    )
    _same_fields(record, expected, run.place)
    return opening.record


def _check_record(
    run: RunAccount,
    one: CommittedRound,
    record: RoundRecord,
    previous: Digest,
    objects: ObjectStore,
) -> None:
    body = one.body
    expected = RoundRecord(
        run=run.document,
        round=one.number,
        previous=previous,
        base=body.base,
        outer_state=body.outer_state,
        step=body.step,
        contributions={
            member: _contribution(one.announced(member), body.merged[member].norm, one, member)
            for member in body.merged
        },
        left_out=dict(body.left_out),
        closed_because=body.closed_because,
        norm_history=record.norm_history,
        next_scales=record.next_scales,
        bytes_up=dict(body.bytes_up),
        bytes_down=dict(body.bytes_down),
        seconds=record.seconds,
    )
    for member, stated in expected.contributions.items():
        given = record.contributions.get(member)
        if given is None:
            raise VerificationFailed(
                "is merged by the statement, and not in the record", where=f"{one.place}: {member}"
            )
        _same_fields(given, stated, f"{one.place}: record of {member}")
        size = objects.path(stated.update).stat().st_size
        _same("bytes of the update", stated.payload_bytes, size, f"{one.place}: {member}")
    _same_fields(record, expected, one.place)
    _check_left_out(one)


def _contribution(sent: Sent, norm: float | None, one: CommittedRound, member: str) -> Contribution:
    return Contribution(
        update=sent.update,
        weight=one.body.merged[member].weight,
        steps=sent.steps,
        tokens=sent.tokens,
        flops=sent.flops,
        train_s=sent.train_s,
        mean_loss=sent.mean_loss if isinstance(sent, UpdateSent) else None,
        norm=norm,
        payload_bytes=sent.bytes,
        late=one.body.merged[member].late,
    )


def _check_left_out(one: CommittedRound) -> None:
    """The reason why a member was left out must fit what that member itself said in the log."""
    for member, reason in sorted(one.body.left_out.items()):
        where = f"{one.place}: {member}"
        standing = reason.partition(":")[0]
        if (standing == "declined") != (member in one.declined):
            said = "refused the plan" if member in one.declined else "did not refuse the plan"
            raise VerificationFailed(
                f"is left out as {standing!r}, and by the log it {said}", where=where
            )
        if member in one.sent and standing not in ("refused", "quarantined"):
            raise VerificationFailed(
                f"is left out as {standing!r}, and by the log it sent an update", where=where
            )


def _check_norms(one: CommittedRound, record: RoundRecord, replayed: ReplayedRound) -> None:
    for member, merged in sorted(one.body.merged.items()):
        norm = replayed.norms.get(member)
        _same("norm of the update", merged.norm, norm, f"{one.place}: {member}")
    _same("scales of the next round", record.next_scales, replayed.next_scales, one.place)
    found = replayed.norm_history.to_record()
    _same("history of norms", record.norm_history, found, one.place)


def _read(objects: ObjectStore, digest: Digest, place: str) -> RoundRecord:
    try:
        data = objects.get(digest, max_bytes=MAX_RECORD_BYTES)
        return RoundRecord.parse(data, where=f"record {digest}")[1]
    except ConcordError as error:
        raise VerificationFailed(f"its record {error.message}", where=place) from error


def _same_fields(
    given: RoundRecord | Contribution, stated: RoundRecord | Contribution, where: str
) -> None:
    for field in type(stated).model_fields:
        _same(field, getattr(given, field), getattr(stated, field), where)


def _same(what: str, given: object, right: object, where: str) -> None:
    if given != right:
        raise VerificationFailed(
            f"{what} is {_shown(given)} in one place and {_shown(right)} in another", where=where
        )


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:120]}…"
