"""The coordinator's side of a round's arithmetic: open a round, accept updates, commit.

`RunState` is what the committed rounds add up to; `OpenMerge` is one round that has not happened
yet. Everything is written to the objects first and to the record last, so a crash leaves either
the round before or the round after. Accepted updates stay, so that a verifier can go the same way
again; refused ones are dropped, and so are bases older than the last two, but for the first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Self

from concord.base.digest import Digest, digest_file
from concord.base.errors import CheckpointError, RefusalReason, UpdateError, UpdateRefused
from concord.base.tensors import TensorFile
from concord.charter.run import RunDocument
from concord.federation.assembly import CurrentBase
from concord.federation.frames import Frame
from concord.federation.gating import Gate, GateCase
from concord.federation.records import RunFolder
from concord.federation.work import UpdateHeader
from concord.ledger.arithmetic import (
    RoundInputs,
    ScreenedUpdate,
    check_work,
    merge_round,
    next_history,
    round_weights,
    screen_update,
)
from concord.ledger.layouts import full_rounds, update_layout
from concord.ledger.round_record import Contribution, RoundRecord
from concord.update.combine import CombinedRound, RoundPaths
from concord.update.payload import most_bytes
from concord.update.screening import NormHistory

Announce = Callable[[RoundRecord, Digest, Digest], None]


class RunState:
    """Where a run stands after its committed rounds."""

    def __init__(self, run: RunDocument, folder: RunFolder) -> None:
        self.run = run
        self.folder = folder
        chain = folder.records()
        self._previous, self._record = chain[-1]
        self._kept = {chain[0][1].base}
        self._included = {
            member: contribution.update
            for _, record in chain
            for member, contribution in record.contributions.items()
        }
        self.tokenizer = chain[0][1].tokenizer
        """Digest of the shared tokenizer; None where a model folder's is kept."""
        self._older_base: Digest | None = chain[-2][1].base if len(chain) > 1 else None
        self._late: dict[str, _Taken] = {}
        """Updates of the last committed round that came after it was closed."""

    @classmethod
    def found(
        cls,
        run: RunDocument,
        folder: RunFolder,
        base: Path,
        digest: Digest,
        tokenizer: Digest | None,
    ) -> Self:
        """Commit the seeded first base as record 0.

        Raises:
            CheckpointError: the file is not what its sender announced, or nothing to start from.
        """
        if digest_file(base) != digest:
            raise CheckpointError("the first base does not match the digest that members agreed on")
        first = TensorFile(base)
        first.require_finite()
        try:
            update_layout(run, first.specs, 0)
        except UpdateError as error:
            raise CheckpointError(f"the first base {error.message}", where=error.where) from error
        folder.objects.put(run.canonical)
        folder.objects.adopt(base, digest)
        folder.commit(
            RoundRecord(run=run.digest, round=0, previous=None, base=digest, tokenizer=tokenizer)
        )
        return cls(run, folder)

    @classmethod
    def resume(cls, run: RunDocument, folder: RunFolder) -> Self:
        """Read the records, and check that what the last one points to is there, unaltered.

        Raises:
            CheckpointError: it is not.
        """
        state = cls(run, folder)
        folder.objects.verified_path(state._record.base)
        if state._record.outer_state is not None:
            folder.objects.verified_path(state._record.outer_state)
        return state

    @property
    def committed(self) -> int:
        """Rounds that have happened."""
        return self._record.round

    @property
    def record(self) -> RoundRecord:
        """The last one."""
        return self._record

    @property
    def current(self) -> CurrentBase:
        digest = self._record.base
        path = self.folder.objects.path(digest)
        return CurrentBase(self._record.round, digest, path, dict(self._included))

    @property
    def largest_update(self) -> int:
        """No update of this run has more bytes."""
        specs = TensorFile(self.folder.objects.path(self._record.base)).specs
        return max(most_bytes(update_layout(self.run, specs, r)) for r in full_rounds(self.run))

    def inputs(self) -> RoundInputs:
        """What the next round starts from."""
        kept = self._record.outer_state
        return RoundInputs(
            run=self.run,
            round=self.committed,
            base=self.folder.objects.path(self._record.base),
            base_digest=self._record.base,
            outer_state=None if kept is None else self.folder.objects.path(kept),
            norm_history=NormHistory.from_record(self._record.norm_history),
            base_before=self._older_base,
        )

    def accept_late(self, member: str, header: UpdateHeader, frame: Frame) -> None:
        """Screen an update of the last committed round, and keep it for the next one.

        Raises:
            UpdateRefused: with the reason; the frame's payload is left to the caller.
        """
        inputs = replace(self.inputs(), late=frozenset({member}))
        path = frame.payload
        if path is None or digest_file(path) != header.payload_digest:
            raise UpdateRefused(RefusalReason.MALFORMED, "payload does not match its digest")
        if header.round != inputs.round - 1:
            raise UpdateRefused(RefusalReason.WRONG_ROUND, f"is for round {header.round}")
        check_work(inputs, member, steps=header.steps, tokens=header.tokens)
        screened = screen_update(inputs, member, path, accepted=self._late.keys())
        self._late[member] = _Taken(header, path, screened)

    def take_late(self, *, left_out: Collection[str]) -> dict[str, _Taken]:
        """The late updates, for a round that is committed.

        Args:
            left_out: Members of the round's roster without an update in time. Who sent one needs
                no other; who is not in the roster any more has no place in the round.
        """
        late, self._late = self._late, {}
        for member in late.keys() - set(left_out):
            late.pop(member).path.unlink(missing_ok=True)
        return late

    def open_round(self, *, started_s: float) -> OpenMerge:
        """Begin to take updates for the next round."""
        return OpenMerge(self, started_s)

    def advance(self, record: RoundRecord, announce: Announce = lambda *_: None) -> RoundRecord:
        """Commit a record, chained to the last one, and drop what is no longer needed.

        Args:
            announce: Told the record, its digest and the base before, when all it names is on
                disk; when this returns, the round has happened.
        """
        record = record.model_copy(update={"previous": self._previous})
        announce(record, self.folder.keep(record), self._record.base)
        self._previous = self.folder.commit(record)
        now = {self._record.base, record.base, record.outer_state, record.step}
        for digest in {self._older_base, self._record.outer_state, self._record.step}:
            if digest is not None and digest not in self._kept | now:
                self.folder.objects.discard(digest)
        self._older_base = self._record.base
        self._record = record
        self._included |= {m: c.update for m, c in record.contributions.items()}
        return record


@dataclass(frozen=True)
class _Taken:
    """An accepted update, on disk."""

    header: UpdateHeader
    path: Path
    screened: ScreenedUpdate


@dataclass
class OpenMerge:
    """One round that takes updates."""

    state: RunState
    started_s: float
    _taken: dict[str, _Taken] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._inputs = self.state.inputs()

    def plan(self, steps: Mapping[str, int]) -> None:
        """Take note of the inner steps that the plan gives each member, where they differ."""
        self._inputs = replace(self._inputs, steps=dict(steps))

    def accept(self, member: str, header: UpdateHeader, frame: Frame) -> None:
        """Screen an update and keep it.

        Raises:
            UpdateRefused: with the reason; the frame's payload is left to the caller.
        """
        path, inputs = frame.payload, self._inputs
        if path is None or digest_file(path) != header.payload_digest:
            raise UpdateRefused(RefusalReason.MALFORMED, "payload does not match its digest")
        if header.round != inputs.round:
            raise UpdateRefused(RefusalReason.WRONG_ROUND, f"is for round {header.round}")
        check_work(inputs, member, steps=header.steps, tokens=header.tokens)
        screened = screen_update(inputs, member, path, accepted=self._taken.keys())
        self._taken[member] = _Taken(header, path, screened)

    @property
    def accepted(self) -> frozenset[str]:
        """Members whose update was taken."""
        return frozenset(self._taken)

    def gate_case(self, gate: Gate) -> GateCase:
        """What a prober is to measure."""
        tokenizer = self.state.tokenizer
        objects = self.state.folder.objects
        return GateCase(
            inputs=self._inputs,
            updates={member: taken.path for member, taken in sorted(self._taken.items())},
            probes=gate.path,
            tokenizer=None if tokenizer is None else objects.path(tokenizer),
            continued=gate.continued,
        )

    def update_digests(self) -> dict[str, Digest]:
        """Digest of each accepted update."""
        return {member: one.header.payload_digest for member, one in sorted(self._taken.items())}

    def quarantine(self, members: Collection[str]) -> None:
        """Take updates out of the round; they stay among the objects, for whoever asks why."""
        for member in members:
            taken = self._taken.pop(member)
            self.state.folder.objects.adopt(taken.path, taken.header.payload_digest)

    def discard(self) -> None:
        """Drop what was taken: the round is called again."""
        for taken in self._taken.values():
            taken.path.unlink(missing_ok=True)
        self._taken.clear()

    def commit(
        self,
        *,
        left_out: Mapping[str, str],
        closed_because: str,
        now_s: float,
        bytes_up: Mapping[str, int],
        bytes_down: Mapping[str, int],
        announce: Announce = lambda *_: None,
    ) -> RoundRecord:
        """Merge, take the outer step, write everything, and commit the record.

        Raises:
            DocumentError: too few owners are left for the cap to hold.
            StorageError: the disk is full; nothing is committed.
        """
        late = self.state.take_late(left_out=left_out)
        self._taken |= late
        self._inputs = replace(self._inputs, late=frozenset(late))
        weights = round_weights(self.state.run, self._taken.keys(), self._inputs.steps)
        updates = {member: taken.screened for member, taken in self._taken.items()}
        result = self._merge(updates, weights)
        history = next_history(self._inputs, updates)
        record = RoundRecord(
            run=self.state.run.digest,
            round=self.state.committed + 1,
            previous=None,
            base=result.base,
            outer_state=result.outer_state,
            step=result.step.digest,
            contributions={
                member: _contribution(taken, weights[member], late=member in late)
                for member, taken in sorted(self._taken.items())
            },
            left_out={m: why for m, why in left_out.items() if m not in late},
            closed_because=closed_because,
            norm_history=history.to_record(),
            bytes_up=dict(bytes_up),
            bytes_down=dict(bytes_down),
            seconds=now_s - self.started_s,
        )
        for taken in self._taken.values():
            self.state.folder.objects.adopt(taken.path, taken.header.payload_digest)
        self._taken.clear()
        return self.state.advance(record, announce)

    def _merge(
        self, updates: Mapping[str, ScreenedUpdate], weights: Mapping[str, Fraction]
    ) -> CombinedRound:
        folder = self.state.folder
        paths = RoundPaths(
            step=folder.root / "step.part",
            base=folder.root / "base.part",
            outer_state=folder.root / "outer.part",
        )
        result = merge_round(self._inputs, updates, weights, paths)
        folder.objects.adopt(paths.step, result.step.digest)
        folder.objects.adopt(paths.base, result.base)
        if result.outer_state is not None:
            folder.objects.adopt(paths.outer_state, result.outer_state)
        return result


def _contribution(taken: _Taken, weight: Fraction, *, late: bool) -> Contribution:
    header = taken.header
    return Contribution(
        update=header.payload_digest,
        weight=weight,
        steps=header.steps,
        tokens=header.tokens,
        flops=header.flops,
        train_s=header.train_s,
        mean_loss=header.mean_loss,
        norm=taken.screened.norms.total,
        payload_bytes=taken.screened.update.bytes,
        late=late,
    )
