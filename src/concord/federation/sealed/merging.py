"""The coordinator's side of a sealed round's arithmetic: take masked files, open sums, commit.

As `concord.federation.merging`, whose `RunState` it advances. Files of members that are in no sum
are removed: they were masked for a set that they are not in, and are nobody's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from concord.base.digest import digest_file
from concord.base.errors import RefusalReason, SealRefused, SealVoid, UpdateRefused
from concord.crypto.seal.ring import SignedArray
from concord.federation.frames import Frame
from concord.federation.merging import Announce, RunState
from concord.ledger.arithmetic import check_work, sealed_weights
from concord.ledger.round_record import Contribution, RoundRecord
from concord.ledger.sealed.book import RoundBook
from concord.ledger.sealed.coverage import Coverage
from concord.ledger.sealed.rounds import (
    SealedInputs,
    check_masked_file,
    cohort_sum,
    merge_sealed,
    open_cohort,
    sealed_inputs,
)
from concord.ledger.sealed.tables import first_clips
from concord.ledger.statements.sealing import UpdateCommitted
from concord.update.combine import RoundPaths


def next_inputs(state: RunState, largest: int, coverage: Coverage) -> SealedInputs:
    """What the next round starts from.

    Args:
        largest: Members of the largest cohort.
    """
    inputs, record = state.inputs(), state.record
    clips = {name: float.fromhex(clip) for name, clip in record.next_scales.items()}
    if not clips:
        clips = first_clips(state.run, inputs.base_file.specs)
    return sealed_inputs(inputs, clips, largest, coverage)


@dataclass(frozen=True)
class _Taken:
    """A masked file, on disk."""

    body: UpdateCommitted
    path: Path


class SealedMerge:
    """One sealed round that takes masked updates.

    Args:
        state: Where the run stands.
        sealed: What the round starts from.
        started_s: When it began.
    """

    def __init__(self, state: RunState, sealed: SealedInputs, started_s: float) -> None:
        self._state, self.sealed, self._started_s = state, sealed, started_s
        self._taken: dict[str, _Taken] = {}
        self._sums: dict[int, SignedArray] = {}

    def accept(self, member: str, body: UpdateCommitted, frame: Frame, book: RoundBook) -> None:
        """Keep a masked file of this round, of this member and of its exact length.

        Raises:
            UpdateRefused: with the reason; the frame's payload is left to the caller.
        """
        path, number = frame.payload, book.epoch.number_of(member)
        if path is None or number is None:
            raise UpdateRefused(RefusalReason.MALFORMED, "came without its file")
        check_masked_file(self.sealed, book, book.epoch.cohorts[number], member, path)
        if digest_file(path) != body.update or path.stat().st_size != body.bytes:
            raise UpdateRefused(RefusalReason.MALFORMED, "payload does not match its digest")
        check_work(self.sealed.inputs, member, steps=body.steps, tokens=body.tokens)
        self._taken[member] = _Taken(body, path)

    def open(self, book: RoundBook, number: int) -> str:
        """Open the sum of a cohort; returns why it cannot be had, or nothing."""
        names = book.epoch.cohorts[number].members
        files = {member: self._taken[member].path for member in book.survivors[number]}
        try:
            opening = open_cohort(self._state.run.digest, book, number)
            self._sums[number] = cohort_sum(self.sealed, book, number, opening, files)
        except SealVoid as error:
            who = ", ".join(names[index] for index in error.culprits)
            return f"{error.message}{f' (by {who})' if who else ''}"
        except (SealRefused, UpdateRefused) as error:
            return error.message
        return ""

    @property
    def opened(self) -> tuple[int, ...]:
        """Numbers of the cohorts whose sums are there."""
        return tuple(sorted(self._sums))

    def discard(self) -> None:
        """Drop what was taken: it is never used again."""
        for taken in self._taken.values():
            taken.path.unlink(missing_ok=True)
        self._taken.clear()
        self._sums.clear()

    def commit(
        self,
        book: RoundBook,
        *,
        left_out: Mapping[str, str],
        closed_because: str,
        now_s: float,
        bytes_up: Mapping[str, int],
        bytes_down: Mapping[str, int],
        announce: Announce,
    ) -> RoundRecord:
        """Merge the sums that were opened, take the outer step, and commit the record.

        Raises:
            StorageError: the disk is full; nothing is committed.
        """
        state, objects = self._state, self._state.folder.objects
        members = sorted(m for number in self.opened for m in book.survivors[number])
        weights = sealed_weights(state.run, members)
        root = state.folder.root
        paths = RoundPaths(
            step=root / "step.part", base=root / "base.part", outer_state=root / "outer.part"
        )
        sums = [self._sums[number] for number in self.opened]
        made, clips = merge_sealed(self.sealed, sums, weights, paths)
        objects.adopt(paths.step, made.step.digest)
        objects.adopt(paths.base, made.base)
        if made.outer_state is not None:
            objects.adopt(paths.outer_state, made.outer_state)
        record = RoundRecord(
            run=state.run.digest,
            round=state.committed + 1,
            previous=None,
            base=made.base,
            outer_state=made.outer_state,
            step=made.step.digest,
            contributions={
                m: _contribution(self._taken[m].body, weights[m]) for m in members
            },
            left_out=dict(left_out),
            closed_because=closed_because,
            next_scales={name: clip.hex() for name, clip in clips.items()},
            bytes_up=dict(bytes_up),
            bytes_down=dict(bytes_down),
            seconds=now_s - self._started_s,
        )  # fmt: skip
        for member in members:
            taken = self._taken.pop(member)
            objects.adopt(taken.path, taken.body.update)
        self.discard()
        return state.advance(record, announce)


def _contribution(body: UpdateCommitted, weight: Fraction) -> Contribution:
    return Contribution(
        update=body.update,
        weight=weight,
        steps=body.steps,
        tokens=body.tokens,
        flops=body.flops,
        train_s=body.train_s,
        mean_loss=None,
        norm=None,
        payload_bytes=body.bytes,
    )
