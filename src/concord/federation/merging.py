"""The coordinator's arithmetic in order: open a round, accept updates, commit.

`RunState` is what the committed rounds add up to; `OpenMerge` is one round that has not happened
yet. Everything is written to the objects first and to the record last, so a crash leaves either
the round before or the round after. Bases older than the last two are dropped; the first stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Self

from concord.base.digest import Digest, digest_file
from concord.base.errors import CheckpointError, RefusalReason, UpdateRefused
from concord.base.tensors import TensorFile
from concord.charter.run import RunDocument
from concord.charter.schedule import first_step, inner_steps, outer_rate, rate_factor, total_steps
from concord.federation.assembly import CurrentBase
from concord.federation.frames import Frame
from concord.federation.layouts import step_layout, update_layout
from concord.federation.messages import UpdateHeader
from concord.federation.records import Contribution, RoundRecord, RunFolder
from concord.update.codecs import CODECS
from concord.update.combine import CombinedRound, RoundPaths, combine_round
from concord.update.feedback import DEFAULT_BETA
from concord.update.layout import Entry, Layout, Role
from concord.update.merge import Accepted, MergeOptions
from concord.update.outer import OuterRule
from concord.update.payload import UpdateFile, UpdateIdentity
from concord.update.screening import Expectation, NormBounds, NormHistory, UpdateNorms, screen
from concord.update.weights import merge_weights

REMEMBERED_ROUNDS = 100
"""After so many rounds nothing of a residual is left: 0.95^100 < 1 %."""


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
        self._older_base: Digest | None = chain[-2][1].base if len(chain) > 1 else None

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
            CheckpointError: the file is not what its sender announced.
        """
        if digest_file(base) != digest:
            raise CheckpointError("the first base does not match the digest that members agreed on")
        TensorFile(base)
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
    def current(self) -> CurrentBase:
        digest = self._record.base
        path = self.folder.objects.path(digest)
        return CurrentBase(self._record.round, digest, path, dict(self._included))

    @property
    def outer_state(self) -> TensorFile | None:
        digest = self._record.outer_state
        return None if digest is None else TensorFile(self.folder.objects.path(digest))

    @property
    def norm_history(self) -> NormHistory:
        return NormHistory.from_json(list(self._record.norm_history))

    def open_round(self, *, started_s: float) -> OpenMerge:
        """Begin to take updates for the next round."""
        return OpenMerge(self, started_s)

    def advance(self, record: RoundRecord) -> RoundRecord:
        """Commit a record, chained to the last one, and drop what is no longer needed."""
        record = record.model_copy(update={"previous": self._previous})
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
    update: UpdateFile
    norms: UpdateNorms


@dataclass
class OpenMerge:
    """One round that takes updates."""

    state: RunState
    started_s: float
    _taken: dict[str, _Taken] = field(default_factory=dict)

    def __post_init__(self) -> None:
        run, round_ = self.state.run, self.state.committed
        self._base = TensorFile(self.state.current.path)
        self._layout: Layout = update_layout(run, self._base.specs, round_)
        self._steps = inner_steps(run.rounds, round_)
        self._expected = Expectation(
            run=run.digest,
            round=round_,
            base=self.state.current.digest,
            roster=frozenset(run.member_ids),
            max_tokens=self._steps * run.inner.batch_tokens,
        )
        self._norm_scale = norm_scale(run, round_)

    def accept(self, member: str, header: UpdateHeader, frame: Frame) -> None:
        """Screen an update and keep it.

        Raises:
            UpdateRefused: with the reason; the frame's payload is left to the caller.
        """
        if frame.payload is None or digest_file(frame.payload) != header.payload_digest:
            raise UpdateRefused(RefusalReason.MALFORMED, "payload does not match its digest")
        if header.round != self._expected.round:
            raise UpdateRefused(RefusalReason.WRONG_ROUND, f"is for round {header.round}")
        if header.steps > self._steps or header.tokens > (self._expected.max_tokens or 0):
            raise UpdateRefused(RefusalReason.TOO_LARGE, "declares more work than was agreed")
        spec = self.state.run.update
        update = UpdateFile(frame.payload, self._layout)
        norms = screen(
            update,
            sender=member,
            expected=self._expected,
            accepted=frozenset(self._taken),
            history=self.state.norm_history,
            bounds=NormBounds(spec.min_norm_ratio, spec.max_norm_ratio),
            norm_scale=self._norm_scale,
        )
        self._taken[member] = _Taken(header, frame.payload, update, norms)

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
    ) -> RoundRecord:
        """Merge, take the outer step, write everything, and commit the record.

        Raises:
            DocumentError: too few owners are left for the cap to hold.
            StorageError: the disk is full; nothing is committed.
        """
        run = self.state.run
        weights = merge_weights(
            {m.id: m.weight for m in run.roster if m.id in self._taken},
            owners={m.id: m.owner for m in run.roster},
            cap=run.update.owner_cap,
        )
        accepted = [
            Accepted(member, taken.update, weights[member], taken.norms)
            for member, taken in self._taken.items()
        ]
        result = self._combine(accepted)
        norms = [taken.norms.total for taken in self._taken.values()]
        history = self.state.norm_history.extended(norms, norm_scale=self._norm_scale)
        record = RoundRecord(
            run=run.digest,
            round=self.state.committed + 1,
            previous=None,
            base=result.base,
            outer_state=result.outer_state,
            step=result.step.digest,
            contributions={
                member: _contribution(taken, weights[member])
                for member, taken in sorted(self._taken.items())
            },
            left_out=dict(left_out),
            closed_because=closed_because,
            norm_history=tuple(history.to_json()),
            bytes_up=dict(bytes_up),
            bytes_down=dict(bytes_down),
            seconds=now_s - self.started_s,
        )
        record = self.state.advance(record)
        self.discard()
        return record

    def _combine(self, accepted: list[Accepted]) -> CombinedRound:
        run, round_, folder = self.state.run, self.state.committed, self.state.folder
        paths = RoundPaths(
            step=folder.root / "step.part",
            base=folder.root / "base.part",
            outer_state=folder.root / "outer.part",
        )
        result = combine_round(
            base=self._base,
            outer_state=self.state.outer_state,
            accepted=accepted,
            options=MergeOptions(run.update.merge, run.update.rows, run.update.norm_control),
            outer=OuterRule(run.update.outer.optimizer, run.update.outer.momentum),
            rate=lambda entry: _rate(run, round_, entry),
            step_layout=step_layout(run, self._base.specs, round_),
            identity=UpdateIdentity(run.digest, round_, self.state.current.digest, None),
            paths=paths,
        )
        folder.objects.adopt(paths.step, result.step.digest)
        folder.objects.adopt(paths.base, result.base)
        if result.outer_state is not None:
            folder.objects.adopt(paths.outer_state, result.outer_state)
        return result


def _contribution(taken: _Taken, weight: Fraction) -> Contribution:
    header = taken.header
    return Contribution(
        update=header.payload_digest,
        weight=weight,
        steps=header.steps,
        tokens=header.tokens,
        flops=header.flops,
        train_s=header.train_s,
        mean_loss=header.mean_loss,
        norm=taken.norms.total,
        payload_bytes=taken.update.bytes,
    )


def _rate(run: RunDocument, round_: int, entry: Entry) -> float:
    return outer_rate(run, round_, embedding=entry.role is Role.EMBEDDING)


def norm_scale(run: RunDocument, round_: int) -> float:
    """What the schedule says norms are proportional to: the sum of the round's rate factors.

    With error feedback an update also carries what earlier rounds left out, fading by beta a round:
    without that a falling rate would have honest updates refused.
    """
    fading = DEFAULT_BETA if CODECS[run.update.codec].feeds_back else 0.0
    since = max(0, round_ - REMEMBERED_ROUNDS) if fading else round_
    scale = 0.0
    for earlier in range(since, round_ + 1):
        scale = fading * scale + _rate_sum(run, earlier)
    return scale or 1.0


def _rate_sum(run: RunDocument, round_: int) -> float:
    first, total = first_step(run.rounds, round_), total_steps(run.rounds)
    steps = range(first, first + inner_steps(run.rounds, round_))
    return sum(rate_factor(run.inner, step, total) for step in steps)
