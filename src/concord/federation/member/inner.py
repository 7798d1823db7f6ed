"""A member's network and inner optimiser, in each of the processes that share its devices.

With one device there is one process, and this is all there is to its training. With several, every
process holds its slices and makes the same calls in the same order; the leader alone keeps what
comes out (see `group`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from concord.base.tensors import FloatArray, TensorFile
from concord.charter.schedule import first_step, total_steps
from concord.federation.member.ahead import mixed
from concord.federation.member.network import build_network, over_vocabulary
from concord.federation.member.text import MemberText
from concord.ledger.layouts import base_state, base_weights, step_layout
from concord.model.sharding import gather
from concord.model.tensors import load_tensors, read_tensors
from concord.train.distributed import shard_model
from concord.train.evaluate import HeldoutSums, heldout_sums
from concord.train.loop import InnerStats, LocalTrainer
from concord.train.ranks import ONE_PROCESS, Ranks
from concord.train.shared_state import SECOND_MOMENT, SharedState

FEEDBACK, OWN = "feedback/", "own/"
"""Beside the optimiser's state a member keeps what a sparse codec left out, and its own weights if
it goes on from them: while its update travels, or in those fragments that did not."""


class InnerTraining:
    """The network, its optimiser and the state that travels.

    Args:
        text: The member's text, its shards open.
        device: This process's device.
        ranks: The processes that share the member's work.
    """

    def __init__(
        self, text: MemberText, *, device: torch.device, ranks: Ranks = ONE_PROCESS
    ) -> None:
        self._text = text
        self.run = text.run
        model = build_network(self.run, text.tokenizer, text.continued_folder)
        seen_V = over_vocabulary(model, text.token_counts) > 0
        self.trainer = LocalTrainer(
            shard_model(model, device=device, ranks=ranks) if ranks.sharded else model,
            self.run.inner,
            total_steps=total_steps(self.run.rounds),
            device=device,
            end_id=text.tokenizer.end_id,
            seen_tokens=seen_V if self.run.inner.vocabulary == "seen" else None,
            ranks=ranks,
            private=text.sensitive.gradients(),
        )
        self.shared = SharedState(self.trainer.optimizer, self.run.inner.state.mode)

    def load_weights(self, base: TensorFile) -> None:
        load_tensors(self.trainer.model, base_weights(base))

    def restore(
        self, base: TensorFile, local: TensorFile | None, round_: int, *, since: int
    ) -> None:
        """Set network and optimiser as they must stand at the beginning of a round.

        Args:
            local: The member's own saved state; None for a newcomer.
            since: The round (0-based) after whose steps it was saved. What has moved from that
                round on is taken over from the base; the rest goes on from the member's own.
        """
        weights, arrived = base_weights(base), None
        if local is not None:
            arrived = self._arrived(base, round_, since)
            own = kept_under(OWN, local) if self.run.rounds.fragments > 1 else {}
            weights |= {name: array for name, array in own.items() if name not in arrived}
        load_tensors(self.trainer.model, weights)
        optimizer = self.trainer.optimizer
        optimizer.reset()
        optimizer.load_state(_optimizer_state(local))
        self.shared.load(base_state(base), only=arrived)
        if local is not None and since < round_ - 1:
            self._keep_larger(local, missed=self._arrived(base, round_, since + 1))

    def _keep_larger(self, local: TensorFile, *, missed: Collection[str]) -> None:
        """Where a mean of second moments was made without this member, put its share if larger.

        Of rows that it alone uses the others have next to nothing, and steps divide by the root.
        Had it been there, the mean would hold its own divided by the number of members.
        """
        optimizer, share = self.trainer.optimizer, np.float32(1 / len(self.run.roster))
        own = {spec.name: array for spec, array in local.items() if spec.name in _moments(missed)}
        now = optimizer.read_state()
        optimizer.load_state({name: np.maximum(now[name], a * share) for name, a in own.items()})

    def restore_own(self, local: TensorFile) -> None:
        """Set network and optimiser as they stood when the update of this state was made."""
        load_tensors(self.trainer.model, kept_under(OWN, local))
        self.trainer.optimizer.reset()
        self.trainer.optimizer.load_state(_optimizer_state(local))

    def take_base(self, base: TensorFile, round_: int, *, blend: float) -> None:
        """Mix what the round before moved into the own weights; its shared state is the base's."""
        weights, arrived = base_weights(base), self._arrived(base, round_, round_ - 1)
        if blend or self.run.rounds.fragments > 1:
            own = read_tensors(self.trainer.model)
            weights = {
                name: mixed(own[name], array, blend) if name in arrived else own[name]
                for name, array in weights.items()
            }
        load_tensors(self.trainer.model, weights)
        self.shared.load(base_state(base), only=arrived)

    def _arrived(self, base: TensorFile, round_: int, since: int) -> frozenset[str]:
        """Tensors that the rounds from `since` to the one before moved; of the last ones, as many
        as there are fragments."""
        first = max(0, round_ - self.run.rounds.fragments, min(since, round_ - 1))
        return frozenset(
            entry.name
            for moved in range(first, round_)
            for entry in step_layout(self.run, base.specs, moved)
        )

    def take_steps(
        self,
        round_: int,
        count: int,
        *,
        done: int = 0,
        attempt: int = 0,
        should_stop: Callable[[], bool],
        on_steps: Callable[[int], None] = lambda _: None,
    ) -> tuple[InnerStats, NDArray[np.int64]]:
        """Take the round's inner steps.

        Args:
            done: Steps of the round that were taken before.
            attempt: Another one trains on other samples, at the same rates.
            should_stop: Asked before each step; all processes must give the same answer.
            on_steps: Told how many steps were taken.

        Returns:
            What the steps reached, and [vocabulary] how often each token was a target.

        Raises:
            TrainingDiverged: the loss is no longer a number.
        """
        first = first_step(self.run.rounds, round_) + done
        other_samples = attempt * total_steps(self.run.rounds)
        counts_V = np.zeros(self._text.tokenizer.size, np.int64)

        def batch(step: int) -> NDArray[np.int64]:
            ids = self._text.batch(step + other_samples)
            np.add(counts_V, np.bincount(ids[:, 1:].ravel(), minlength=counts_V.size), out=counts_V)
            return ids

        stats = self.trainer.run(
            batch,
            first_step=first,
            count=count,
            should_stop=should_stop,
            on_step=lambda step: on_steps(step - first + 1 + done),
        )
        return stats, counts_V

    def measure(self, base: TensorFile) -> HeldoutSums:
        """Sums over the member's held-out text for a base."""
        self.load_weights(base)
        return heldout_sums(
            self.trainer.model,
            self._text.heldout(),
            self._text.tokenizer.encode,
            start_id=self._text.tokenizer.start_id,
            context=self.run.model.context,
            max_bytes=self.run.evaluation.max_bytes,
        )

    def give(self) -> None:
        """Give this process's slices where the leader reads weights, shared state and own state.

        The order is the leader's; whole tensors are let go one by one.
        """
        for _, parameter in sorted(self.trainer.model.named_parameters()):
            gather(parameter.detach())
        for _ in ("shared", "own"):
            for _, state in sorted(self.trainer.optimizer.states()):
                gather(state)


def _moments(travelled: Collection[str]) -> frozenset[str]:
    """Second moments in the optimiser's own names, of those that travelled in some form."""
    tensors = (name.rpartition("/")[2] for name in travelled if name.startswith(SECOND_MOMENT))
    return frozenset(SECOND_MOMENT + name for name in tensors)


def feedback_arrays(local: TensorFile | None) -> Mapping[str, FloatArray]:
    """The part of a member's saved state that is error feedback."""
    return {} if local is None else kept_under(FEEDBACK, local)


def kept_under(prefix: str, local: TensorFile) -> dict[str, FloatArray]:
    """What a saved state holds beside the optimiser's, by name without the prefix."""
    return {
        spec.name.removeprefix(prefix): array
        for spec, array in local.items()
        if spec.name.startswith(prefix)
    }


def _optimizer_state(local: TensorFile | None) -> dict[str, FloatArray]:
    return {
        spec.name: array
        for spec, array in (() if local is None else local.items())
        if not spec.name.startswith((FEEDBACK, OWN))
    }
