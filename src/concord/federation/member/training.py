"""A member's rounds: load the base, take inner steps, encode the difference, apply what came back.

The network and the optimiser live as long as the process. Before each round both are set from the
base and from the member's own saved state, so a member that was killed and started again computes
the same update as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from concord.base.digest import Digest
from concord.base.errors import CheckpointError, DocumentError
from concord.base.tensors import FloatArray, TensorFile, write_tensors
from concord.federation.frames import Frame
from concord.federation.member.ahead import Ahead, joined
from concord.federation.member.audit import MemberAudit, check_audits
from concord.federation.member.devices import choose_device
from concord.federation.member.group import Group, OneDevice
from concord.federation.member.inner import FEEDBACK, OWN, InnerTraining, feedback_arrays
from concord.federation.member.network import (
    base_specs,
    build_network,
    over_vocabulary,
    read_base_arrays,
)
from concord.federation.member.orders import Measure, Steps
from concord.federation.member.privacy_file import privacy_path
from concord.federation.member.state import MemberState
from concord.federation.member.text import MemberText
from concord.federation.messages import Committed
from concord.federation.sealed.pen import Masked
from concord.federation.work import Train, UpdateHeader, Withheld
from concord.ledger.layouts import base_weights, step_layout, update_layout
from concord.model.tensors import read_tensors
from concord.train.audit.verdict import over_limits, rules_of
from concord.train.evaluate import HeldoutSums
from concord.train.loop import FLOPS_PER_WEIGHT_AND_TOKEN, InnerStats
from concord.update.combine import apply_step
from concord.update.feedback import ErrorFeedback
from concord.update.layout import COUNTS_NAME
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Trained:
    """What the inner steps of a round came to."""

    stats: InnerStats
    tensors: Mapping[str, FloatArray]
    own: Mapping[str, FloatArray]
    """The member's own weights, if it goes on from them."""
    base: TensorFile


class MemberTraining:
    """One member's network, optimiser and saved state in one run.

    Args:
        text: The member's text, its shards open.
        state: What it keeps between rounds.
        group: The processes that share its devices; without it there is one device.
    """

    def __init__(self, text: MemberText, state: MemberState, group: Group | None = None) -> None:
        self.run = text.run
        self.state = state
        self._text = text
        self._group = group or OneDevice(choose_device(text.file, text.folder.file))
        self._inner = InnerTraining(text, device=self._group.device, ranks=self._group.ranks)
        self._trainer = self._inner.trainer
        self._shared = self._inner.shared
        self._audit = self._new_audit()
        self._ahead: Ahead | None = None

    def _new_audit(self) -> MemberAudit:
        audit = MemberAudit(self._text.folder, self._text, self._trainer)
        if audit.settings.every_rounds and self._group.ranks.sharded:
            raise DocumentError(
                "audits work with one device only",
                where=privacy_path(self._text.folder),
                remedy="set devices = 1 in member.toml, or audit.every_rounds = 0",
            )
        if audit.settings.every_rounds:
            check_audits(self.run, where=privacy_path(self._text.folder))
        return audit

    def objection(self, steps: int, *, logged: Mapping[str, int]) -> str | None:
        """Why this member will not train a round of so many steps; None if it will.

        Args:
            logged: Steps that the log says were charged to each dataset's privacy budget.
        """
        return self._text.sensitive.objection(steps, logged=logged)

    def first_base(self) -> tuple[Path, Digest]:
        """Write the seeded first base: fresh weights, and zeros for the shared state."""
        model = build_network(self.run, self._text.tokenizer, self._text.continued_folder)
        arrays = read_base_arrays(model, self._shared)
        specs = base_specs(model, self._shared)
        path = self.state.temporary_path("first")
        return path, write_tensors(path, specs, (arrays[spec.name] for spec in specs))

    def check_file(self, path: Path) -> None:
        """Refuse a base of other tensors than this run's network has, or of no numbers.

        Raises:
            CheckpointError: it is one; nothing of it was used.
        """
        specs = base_specs(self._trainer.model, self._shared)
        TensorFile(path, expected=specs).require_finite()

    def check_base(self, digest: Digest) -> None:
        """Refuse to go on with another base than the one that is asked for.

        Raises:
            CheckpointError: another one is held.
        """
        if self.state.status.base != digest:
            raise CheckpointError("holds another base than the coordinator's", where="base")

    def train(
        self, plan: Train, *, interrupted: Callable[[], bool], on_progress: Progress
    ) -> tuple[UpdateHeader, Path] | Withheld | None:
        """Take the round's inner steps; None if the round ended before they were done.

        Steps on sensitive text are charged to its budget before the first is taken.

        Raises:
            DocumentError: a privacy budget does not hold the steps; nothing was trained.
            TrainingDiverged: the loss is no longer a number.
            StorageError: the update cannot be written.
        """
        with self._steps_taken(plan, interrupted, on_progress) as done:
            if not isinstance(done, _Trained):
                return done
            # The one of the round before may still be on its way out.
            path = self.state.temporary_path(f"update{plan.round % 2}")
            summary, residual = encode_update(
                path,
                update_layout(self.run, done.base.specs, plan.round),
                UpdateIdentity(
                    run=plan.run, round=plan.round, base=plan.base, member=self._text.folder.id
                ),
                done.tensors,
                feedback=self._feedback(self.state.load_local()),
            )
            state = self._own_state(done, residual)
            self.state.save_pending(summary.digest, state, plan.round)
            if self._overlaps:
                self._ahead = Ahead(summary.digest)
        return self._header(plan, done.stats, summary.digest), path

    def go_ahead(self, *, interrupted: Callable[[], bool]) -> bool:
        """Take steps of the next round while the update of this one travels; whether some are left.

        Who calls has asked the member's policy. Nothing of them counts unless the update goes in.

        Args:
            interrupted: Asked before each step; what was taken until then stays.

        Raises:
            TrainingDiverged: the loss is no longer a number.
        """
        ahead, pending = self._ahead, self.state.status.pending or self.state.status.committed
        if ahead is None or pending is None or pending.update != ahead.update:
            return False
        round_ = pending.round + 1
        if round_ >= self.run.rounds.count or self._audit.due(round_):
            return False
        left = self.run.rounds.overlap_steps - ahead.steps
        if left > 0 and not interrupted():
            ahead.taken.append(
                self._inner.take_steps(round_, left, done=ahead.steps, should_stop=interrupted)
            )
        return ahead.steps < self.run.rounds.overlap_steps

    @property
    def _overlaps(self) -> bool:
        """Whether this member goes on while its update travels.

        Not with several devices; nor with sensitive text, whose budget is charged before it is
        read, by the plan.
        """
        sharded, sensitive = self._group.ranks.sharded, self._text.sensitive.gradients()
        return bool(self.run.rounds.overlap_steps) and not sharded and not sensitive

    @property
    def _goes_on(self) -> bool:
        """Whether something of the next round starts from this member's own weights."""
        return self._overlaps or self.run.rounds.fragments > 1

    def train_sealed(
        self,
        plan: Train,
        seal: Callable[[Mapping[str, FloatArray]], Masked],
        *,
        interrupted: Callable[[], bool],
        on_progress: Progress,
    ) -> tuple[UpdateHeader, Masked] | Withheld | None:
        """The same in a sealed round.

        Args:
            seal: Masks the update and keeps it on disk.
        """
        with self._steps_taken(plan, interrupted, on_progress) as done:
            if not isinstance(done, _Trained):
                return done
            masked = seal(done.tensors)
            self.state.save_pending(masked.update, self._own_state(done, None))
        return self._header(plan, done.stats, masked.update), masked

    @contextmanager
    def _steps_taken(
        self, plan: Train, interrupted: Callable[[], bool], on_progress: Progress
    ) -> Iterator[_Trained | Withheld | None]:
        """Take the steps; what they came to, while the member's other processes still follow."""
        local = self.state.load_local()
        order = Steps(
            round=plan.round,
            inner_steps=plan.inner_steps,
            attempt=plan.attempt,
            base=str(self.state.base_path),
            local=None if local is None else str(local.path),
            since=self.state.local_round,
        )
        with self._group.leading(order):
            yield self._take_steps(plan, local, interrupted, on_progress)

    def _take_steps(
        self,
        plan: Train,
        local: TensorFile | None,
        interrupted: Callable[[], bool],
        on_progress: Progress,
    ) -> _Trained | Withheld | None:
        base = TensorFile(self.state.base_path)
        batch_tokens = self.run.inner.batch_tokens

        def told(steps: int) -> None:
            on_progress(steps, steps * batch_tokens)

        ahead = self._catch_up(plan, local, interrupted, told)
        if ahead is None:
            return None
        if ahead.taken:
            self._inner.take_base(base, plan.round, blend=self.run.rounds.overlap_blend)
        else:
            self._inner.restore(base, local, plan.round, since=self.state.local_round)
        self._text.sensitive.charge(plan.inner_steps)
        if audited := self._audit.due(plan.round):
            self._audit.look_before(plan.round, plan.inner_steps, attempt=plan.attempt)
        rest = self._inner.take_steps(
            plan.round,
            plan.inner_steps - ahead.steps,
            done=ahead.steps,
            attempt=plan.attempt,
            should_stop=self._group.agreed(interrupted),
            on_steps=told,
        )
        stats, counts_V = joined([*ahead.taken, rest])
        if stats.steps < plan.inner_steps:
            return None
        own = read_tensors(self._trainer.model)
        differences = self._differences(plan.round, base, own, counts_V)
        self._audit.remember(differences)
        if audited and (withheld := self._look(plan, base, differences)) is not None:
            return withheld
        return _Trained(stats, differences, own if self._goes_on else {}, base)

    def _catch_up(
        self,
        plan: Train,
        local: TensorFile | None,
        interrupted: Callable[[], bool],
        told: Callable[[int], None],
    ) -> Ahead | None:
        """Stand where the new base is mixed in; None if the round ended before.

        The steps that were taken meanwhile count if they went on from the update that went into
        the base; else they are taken now, from what was saved with it.
        """
        ahead, self._ahead = self._ahead, None
        saved = self.state.status.committed
        follows = saved is not None and saved.round + 1 == plan.round and local is not None
        if not (self._overlaps and follows) or self._audit.due(plan.round):
            return Ahead("")
        assert saved is not None  # noqa: S101 - `follows` says so
        assert local is not None  # noqa: S101
        needed = min(self.run.rounds.overlap_steps, plan.inner_steps - 1)
        if ahead is None or ahead.update != saved.update or ahead.steps > needed:
            self._inner.restore_own(local)
            ahead = Ahead(saved.update)
        if ahead.steps < needed:
            left, done = needed - ahead.steps, ahead.steps
            ahead.taken.append(
                self._inner.take_steps(
                    plan.round, left, done=done, should_stop=interrupted, on_steps=told
                )
            )
        return ahead if ahead.steps == needed else None

    def _header(self, plan: Train, stats: InnerStats, update: Digest) -> UpdateHeader:
        return UpdateHeader(
            round=plan.round,
            base=plan.base,
            payload_digest=update,
            steps=stats.steps,
            tokens=stats.tokens,
            flops=stats.flops + self._sensitive_flops(stats.steps),
            train_s=stats.seconds,
            mean_loss=stats.mean_loss,
            privacy=self._text.sensitive.statements(),
        )

    def _look(
        self, plan: Train, base: TensorFile, differences: Mapping[str, FloatArray]
    ) -> Withheld | None:
        report = self._audit.look_after(
            plan.round, plan.inner_steps, base_weights(base), differences
        )
        self._audit.keep(report)
        over = over_limits(report, self._audit.settings.limits)
        if not over:
            return None
        reason = f"audit: the update is over the member's own limit of {', '.join(over)}"
        return Withheld(round=plan.round, reason=reason, rules=rules_of(over))

    def _sensitive_flops(self, steps: int) -> int:
        """Of the documents expected, each a whole window: what was drawn is nobody's business."""
        tokens = self._text.sensitive.documents_per_step() * self.run.model.context * steps
        weights = sum(parameter.numel() for parameter in self._trainer.model.parameters())
        return int(FLOPS_PER_WEIGHT_AND_TOKEN * weights * tokens)

    def apply(self, message: Committed, frame: Frame) -> None:
        """Take the outer step that everybody takes, and check where it leads.

        Raises:
            CheckpointError: the step leads to another base than announced, or starts elsewhere.
        """
        if self.state.status.base == message.base_before and frame.payload is not None:
            base = TensorFile(self.state.base_path)
            layout = step_layout(self.run, base.specs, message.round - 1)
            step = UpdateFile(frame.payload, layout)
            self._audit.compare_with(step.decode, included=self._text.folder.id in message.included)
            prepared = self.state.temporary_path("base")
            digest = apply_step(base, step, prepared)
            if digest != message.base:
                raise CheckpointError("the outer step leads to another base than announced")
            self.state.adopt_base(prepared, digest, message.round)
        self.check_base(message.base)
        mine = message.included.get(self._text.folder.id)
        if mine is None and self._may_come_late(message.round - 1):
            return
        committed = self.state.status.committed
        self.state.settle(mine or (committed.update if committed is not None else None))

    def _may_come_late(self, round_: int) -> bool:
        """Whether the update of a round that was closed without it may enter the next one."""
        pending = self.state.status.pending
        late = self.run.update.late == "correct"
        return late and pending is not None and pending.round == round_

    def evaluate(self) -> HeldoutSums:
        """Sums over the member's held-out text for the base it holds."""
        self._ahead = None
        with self._group.leading(Measure(base=str(self.state.base_path))):
            return self._inner.measure(TensorFile(self.state.base_path))

    def _feedback(self, local: TensorFile | None) -> ErrorFeedback | None:
        if self.run.update.codec != "sparse":
            return None
        return ErrorFeedback.from_arrays(feedback_arrays(local))

    def _differences(
        self,
        round_: int,
        base: TensorFile,
        own: Mapping[str, FloatArray],
        counts_V: NDArray[np.int64],
    ) -> Mapping[str, FloatArray]:
        """The pseudo-gradient (base minus own weights), the shared state, and token counts."""
        sent = update_layout(self.run, base.specs, round_)
        tensors = {name: base[name] - array for name, array in own.items() if name in sent}
        tensors |= self._shared.read()
        if self.run.update.rows == "token_counts":
            counted = over_vocabulary(self._trainer.model, counts_V)
            tensors[COUNTS_NAME] = counted.astype(np.float32)
        return tensors

    def _own_state(self, done: _Trained, residual: ErrorFeedback | None) -> dict[str, FloatArray]:
        """All of the optimiser's state: the shared part is needed between rounds that sync it.

        Who goes on from its own weights needs them and all state.
        """
        state = self._trainer.optimizer.read_state()
        if self._goes_on:
            state |= {OWN + name: array for name, array in done.own.items()}
        elif self.run.inner.state.every_rounds == 1:
            shared = {spec.name for spec in self._shared.specs()}
            state = {name: array for name, array in state.items() if name not in shared}
        if residual is not None:
            state |= {FEEDBACK + name: array for name, array in residual.to_arrays().items()}
        return state
