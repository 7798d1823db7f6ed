"""A member's rounds: load the base, take inner steps, encode the difference, apply what came back.

The network and the optimiser live as long as the process. Before each round both are set from the
base and from the member's own saved state, so a member that was killed and started again computes
the same update as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from concord.base.digest import Digest
from concord.base.errors import CheckpointError, DocumentError
from concord.base.tensors import FloatArray, TensorFile, write_tensors
from concord.charter.schedule import first_step, total_steps
from concord.federation.frames import Frame
from concord.federation.layouts import (
    base_state,
    base_weights,
    step_layout,
    syncs_state,
    update_layout,
)
from concord.federation.member.network import (
    base_specs,
    build_network,
    over_vocabulary,
    read_base_arrays,
)
from concord.federation.member.state import MemberState
from concord.federation.member.text import MemberText
from concord.federation.messages import Committed, Train, UpdateHeader
from concord.model.tensors import load_tensors, read_tensors
from concord.train.evaluate import HeldoutSums, heldout_sums
from concord.train.loop import LocalTrainer
from concord.train.shared_state import SharedState
from concord.update.combine import apply_step
from concord.update.feedback import ErrorFeedback
from concord.update.layout import COUNTS_NAME
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update

FEEDBACK = "feedback/"
Progress = Callable[[int, int], None]


class MemberTraining:
    """One member's network, optimiser and saved state in one run."""

    def __init__(self, text: MemberText, state: MemberState) -> None:
        self.run = text.run
        self.state = state
        self._text = text
        self._device = _device(text.file.device, text.folder.file)
        model = build_network(self.run, text.tokenizer, text.continued_folder)
        seen_V = over_vocabulary(model, text.token_counts) > 0
        self._trainer = LocalTrainer(
            model,
            self.run.inner,
            total_steps=total_steps(self.run.rounds),
            device=self._device,
            end_id=text.tokenizer.end_id,
            seen_tokens=seen_V if self.run.inner.vocabulary == "seen" else None,
        )
        self._shared = SharedState(self._trainer.optimizer, self.run.inner.state.mode)

    def first_base(self) -> tuple[Path, Digest]:
        """Write the seeded first base: fresh weights, and zeros for the shared state."""
        model = build_network(self.run, self._text.tokenizer, self._text.continued_folder)
        arrays = read_base_arrays(model, self._shared)
        specs = base_specs(model, self._shared)
        path = self.state.temporary_path("first")
        return path, write_tensors(path, specs, (arrays[spec.name] for spec in specs))

    def check_base(self, digest: Digest) -> None:
        """Refuse to go on with another base than the one that is asked for.

        Raises:
            CheckpointError: another one is held.
        """
        if self.state.status.base != digest:
            raise CheckpointError("holds another base than the coordinator's", where="base")

    def train(
        self, plan: Train, *, interrupted: Callable[[], bool], on_progress: Progress
    ) -> tuple[UpdateHeader, Path] | None:
        """Take the round's inner steps; None if the round ended before they were done.

        Raises:
            TrainingDiverged: the loss is no longer a number.
            StorageError: the update cannot be written.
        """
        base = TensorFile(self.state.base_path)
        feedback = self._restore(base, plan.round)
        first = first_step(self.run.rounds, plan.round)
        batch_tokens = self.run.inner.batch_tokens
        counts_V = np.zeros(self._text.tokenizer.size, np.int64)

        def batch(step: int) -> NDArray[np.int64]:
            ids = self._text.batch(step)
            np.add(counts_V, np.bincount(ids[:, 1:].ravel(), minlength=counts_V.size), out=counts_V)
            return ids

        stats = self._trainer.run(
            batch,
            first_step=first,
            count=plan.inner_steps,
            should_stop=interrupted,
            on_step=lambda step: on_progress(step - first + 1, (step - first + 1) * batch_tokens),
        )
        if stats.steps < plan.inner_steps:
            return None
        path = self.state.temporary_path("update")
        summary, residual = encode_update(
            path,
            update_layout(self.run, base.specs, plan.round),
            UpdateIdentity(
                run=plan.run, round=plan.round, base=plan.base, member=self._text.folder.id
            ),
            self._differences(base, counts_V),
            feedback=feedback,
        )
        self.state.save_pending(summary.digest, self._own_state(residual))
        return (
            UpdateHeader(
                round=plan.round,
                base=plan.base,
                payload_digest=summary.digest,
                steps=stats.steps,
                tokens=stats.tokens,
                flops=stats.flops,
                train_s=stats.seconds,
                mean_loss=stats.mean_loss,
            ),
            path,
        )

    def apply(self, message: Committed, frame: Frame) -> None:
        """Take the outer step that everybody takes, and check where it leads.

        Raises:
            CheckpointError: the step leads to another base than announced, or starts elsewhere.
        """
        if self.state.status.base == message.base_before and frame.payload is not None:
            base = TensorFile(self.state.base_path)
            layout = step_layout(self.run, base.specs, message.round - 1)
            step = UpdateFile(frame.payload, layout)
            prepared = self.state.temporary_path("base")
            digest = apply_step(base, step, prepared)
            if digest != message.base:
                raise CheckpointError("the outer step leads to another base than announced")
            self.state.adopt_base(prepared, digest, message.round)
        self.check_base(message.base)
        mine = message.included.get(self._text.folder.id)
        committed = self.state.status.committed
        self.state.settle(mine or (committed.update if committed is not None else None))

    def evaluate(self) -> HeldoutSums:
        """Sums over the member's held-out text for the base it holds."""
        self._load_weights(TensorFile(self.state.base_path))
        return heldout_sums(
            self._trainer.model,
            self._text.heldout(),
            self._text.tokenizer.encode,
            start_id=self._text.tokenizer.start_id,
            context=self.run.model.context,
            max_bytes=self.run.evaluation.max_bytes,
        )

    def _restore(self, base: TensorFile, round_: int) -> ErrorFeedback | None:
        """Set network and optimiser as they must stand at the beginning of a round."""
        self._load_weights(base)
        local = self.state.load_local()
        own = {} if local is None else {spec.name: array for spec, array in local.items()}
        optimizer = self._trainer.optimizer
        optimizer.reset()
        optimizer.load_state({n: a for n, a in own.items() if not n.startswith(FEEDBACK)})
        if (round_ > 0 and syncs_state(self.run, round_ - 1)) or local is None:
            self._shared.load(base_state(base))
        if self.run.update.codec != "sparse":
            return None
        residual = {
            name.removeprefix(FEEDBACK): array
            for name, array in own.items()
            if name.startswith(FEEDBACK)
        }
        return ErrorFeedback.from_arrays(residual)

    def _load_weights(self, base: TensorFile) -> None:
        load_tensors(self._trainer.model, base_weights(base))

    def _differences(
        self, base: TensorFile, counts_V: NDArray[np.int64]
    ) -> Mapping[str, FloatArray]:
        """The pseudo-gradient (base minus own weights), the shared state, and token counts."""
        own = read_tensors(self._trainer.model)
        tensors = {name: base[name] - array for name, array in own.items()}
        tensors |= self._shared.read()
        if self.run.update.rows == "token_counts":
            counted = over_vocabulary(self._trainer.model, counts_V)
            tensors[COUNTS_NAME] = counted.astype(np.float32)
        return tensors

    def _own_state(self, residual: ErrorFeedback | None) -> dict[str, FloatArray]:
        """All of the optimiser's state: the shared part is needed between rounds that sync it."""
        state = self._trainer.optimizer.read_state()
        if self.run.inner.state.every_rounds == 1:
            shared = {spec.name for spec in self._shared.specs()}
            state = {name: array for name, array in state.items() if name not in shared}
        if residual is not None:
            state |= {FEEDBACK + name: array for name, array in residual.to_arrays().items()}
        return state


def _device(wish: str, where: Path) -> torch.device:
    there_is_one = torch.cuda.is_available()
    if wish == "cuda" and not there_is_one:
        raise DocumentError(
            "asks for device 'cuda', and there is none",
            where=where,
            remedy="set device to 'auto' or 'cpu', or repair the driver",
        )
    return torch.device("cuda" if there_is_one and wish != "cpu" else "cpu")
