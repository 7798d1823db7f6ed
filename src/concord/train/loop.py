"""The inner loop: H steps of one member on its own text, on a CPU, a GPU, or several under FSDP2.

One step: batch → logits (bf16 autocast) → cross entropy + z-loss → gradients → clip → optimiser.
Nothing is drawn at random here: batches are a function of the step and dropout is off, so that the
same start, batches and machine give the same weights, bit for bit.

On a GPU the loss is looked at every 16 steps only, since each look waits for the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from concord.base.errors import DocumentError, TrainingDiverged
from concord.charter.run_sections import InnerSpec
from concord.charter.schedule import rate_factor
from concord.model.tensors import parameter_count
from concord.train.goldfish import PUBLIC_KEY, kept_targets
from concord.train.loss import cross_entropy
from concord.train.optimizers import InnerOptimizer
from concord.train.precision import gains_from_bfloat16
from concord.train.private.gradient import MAX_SHARE, PrivateGradient, mix
from concord.train.ranks import ONE_PROCESS, Ranks

Batches = Callable[[int], NDArray[np.int64]]
FLOPS_PER_WEIGHT_AND_TOKEN = 6  # Kaplan et al. 2020, section 2.1: forward 2, backward 4
GPU_LOOK_EVERY_STEPS = 16
EAGER_ATTENTION_TOKENS = 512  # measured: in bf16 on a CPU, plain attention is faster up to here


@dataclass(frozen=True)
class InnerStats:
    """What a stretch of inner steps cost and reached."""

    steps: int
    tokens: int
    seconds: float
    flops: int
    losses: tuple[float, ...]
    """Mean cross entropy of each step in nats per kept target, without z-loss."""
    gradient_norms: tuple[float, ...]
    """L2 norm of each step's gradient before clipping."""

    @property
    def mean_loss(self) -> float:
        return sum(self.losses) / len(self.losses) if self.losses else float("nan")

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds > 0 else 0.0


class LocalTrainer:
    """A network with its inner optimiser, stepped along the global schedule.

    Args:
        model: Any causal language model on `device`; it is trained in place. Under FSDP it is
            already sharded (`concord.train.distributed`).
        total_steps: Global inner steps of the whole run, for the schedule.
        end_id: Token that ends a document; only the Goldfish option asks for it.
        seen_tokens: [vocabulary], True where this member's text has the token; required by the
            `seen` vocabulary, which takes all other tokens out of the softmax.
        goldfish_key: 16 bytes, public and the same for all members.
        ranks: The processes that share this member's work.
        private: Sets of sensitive documents; each gives its share of every step's gradient, clipped
            per document and under noise. Losses, tokens and norms told are of the batches alone.

    Raises:
        DocumentError: an option lacks what it needs, or two options exclude each other.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        inner: InnerSpec,
        *,
        total_steps: int,
        device: torch.device | str = "cpu",
        end_id: int | None = None,
        seen_tokens: NDArray[np.bool_] | None = None,
        goldfish_key: bytes = PUBLIC_KEY,
        ranks: Ranks = ONE_PROCESS,
        private: Sequence[PrivateGradient] = (),
    ) -> None:
        if private:
            _check_private(inner, ranks, [one.rule.share for one in private])
        if inner.goldfish_k == 1 or (inner.goldfish_k and end_id is None):
            raise DocumentError(
                "Goldfish needs k of at least 2 and the token that ends a document",
                where="inner.goldfish_k",
                remedy="set goldfish_k to 0 or above 1",
            )
        if inner.vocabulary == "seen" and seen_tokens is None:
            raise DocumentError("the tokens of the member's text are needed", where="vocabulary")
        self.device = torch.device(device)
        self.model = model if ranks.sharded else model.to(self.device)
        self.inner = inner
        self.total_steps = total_steps
        self.optimizer = InnerOptimizer(model, inner)
        self._bfloat16 = inner.precision == "bf16" and gains_from_bfloat16(self.device)
        self._bfloat16_on_cpu = self._bfloat16 and self.device.type == "cpu"
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._parameter_count = parameter_count(model)
        self._end_id = end_id
        self._goldfish_key = goldfish_key
        self._bias = self._softmax_bias(seen_tokens)
        self.ranks = ranks
        self._private = tuple(private)

    def run(
        self,
        batches: Batches,
        *,
        first_step: int,
        count: int,
        should_stop: Callable[[], bool] = lambda: False,
        on_step: Callable[[int], None] = lambda _: None,
    ) -> InnerStats:
        """Take `count` inner steps from the global step `first_step`.

        Args:
            batches: Global step to token ids [samples, T + 1]; under FSDP every rank is given the
                whole batch and takes its rows.
            should_stop: Asked before each step; True ends the stretch early.
            on_step: Told the global step after it was taken.

        Raises:
            TrainingDiverged: loss or gradient became NaN or infinite. On a CPU the weights are
                those before that step; on a GPU they are to be thrown away.
        """
        losses = torch.zeros(count, device=self.device)
        norms = torch.zeros(count, device=self.device)
        look_every = 1 if self.device.type == "cpu" else GPU_LOOK_EVERY_STEPS
        tokens = done = 0
        begun = time.perf_counter()
        with self._training():
            while done < count and not should_stop():
                step = first_step + done
                batch = batches(step)
                if self._bfloat16_on_cpu and batch.shape[1] <= EAGER_ATTENTION_TOKENS + 1:
                    self._use_attention("eager")
                losses[done] = self._backward(batch)
                norms[done] = self._clip()
                done += 1
                if done % look_every == 0:
                    _check_finite(losses[:done], norms[:done], first_step)
                self.optimizer.step(
                    step, rate_factor=rate_factor(self.inner, step, self.total_steps)
                )
                tokens += batch.shape[0] * (batch.shape[1] - 1)
                on_step(step)
        losses = self.ranks.mean(losses)[:done].cpu()
        norms = norms[:done].cpu()
        _check_finite(losses, norms, first_step)
        return InnerStats(
            steps=done,
            tokens=tokens,
            seconds=time.perf_counter() - begun,
            flops=FLOPS_PER_WEIGHT_AND_TOKEN * self._parameter_count * tokens,
            losses=tuple(losses.tolist()),
            gradient_norms=tuple(norms.tolist()),
        )

    def _backward(self, batch: NDArray[np.int64]) -> Tensor:
        rows, weights_of_rows = self._my_rows(batch)
        tokens = torch.from_numpy(rows).to(self.device, non_blocking=True)
        weights = torch.from_numpy(weights_of_rows).to(self.device, non_blocking=True)
        self.optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            logits = self.model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss, entropy = cross_entropy(
            logits.flatten(0, 1),
            tokens[:, 1:].flatten(),
            weights.flatten(),
            z_loss=self.inner.z_loss,
            bias=self._bias,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        if self._private:
            shares = [one.rule.share for one in self._private]
            found = [
                one.noised_mean(self._parameters, self._document_loss) for one in self._private
            ]
            mix(self._parameters, shares, found)
        return entropy

    def _document_loss(self, document: NDArray[np.int64]) -> Tensor:
        """Mean loss of one document, [tokens]."""
        row = np.ascontiguousarray(document[None])
        kept = self._kept(row)
        tokens = torch.from_numpy(row).to(self.device)
        weights = torch.from_numpy((kept / max(1, int(kept.sum()))).astype(np.float32))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            logits = self.model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss, _ = cross_entropy(
            logits[0], tokens[0, 1:], weights[0].to(self.device), z_loss=self.inner.z_loss
        )
        return loss

    def _my_rows(self, batch: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """This rank's rows and the weight of each target, so that the ranks' mean is the loss."""
        if len(batch) < self.ranks.count:
            raise DocumentError(
                f"a batch of {len(batch)} samples cannot be split over {self.ranks.count} devices",
                where="inner.batch_tokens",
                remedy="use fewer devices or a larger batch",
            )
        kept = self._kept(batch)
        weights = (kept * (self.ranks.count / max(1, int(kept.sum())))).astype(np.float32)
        mine = self.ranks.rows(len(batch))
        return np.ascontiguousarray(batch[mine]), weights[mine]

    def _kept(self, batch: NDArray[np.int64]) -> NDArray[np.bool_]:
        if not self.inner.goldfish_k:
            return np.ones((batch.shape[0], batch.shape[1] - 1), dtype=np.bool_)
        assert self._end_id is not None
        return kept_targets(
            batch,
            k=self.inner.goldfish_k,
            context_tokens=self.inner.goldfish_context,
            end_id=self._end_id,
            key=self._goldfish_key,
        )

    def _clip(self) -> Tensor:
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.inner.clip_norm)
        return self.ranks.whole(norm)

    def _softmax_bias(self, seen_tokens: NDArray[np.bool_] | None) -> Tensor | None:
        if self.inner.vocabulary != "seen" or seen_tokens is None:
            return None
        bias = np.where(seen_tokens, 0.0, -np.inf).astype(np.float32)
        return torch.from_numpy(bias).to(self.device)

    @contextmanager
    def _training(self) -> Iterator[None]:
        """Dropout off; afterwards the attention is the model's own again."""
        before = self.model.config._attn_implementation
        self.model.eval()
        try:
            yield
        finally:
            self._use_attention(before)

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """The network as it is computed in training, for passes without a gradient."""
        with (
            self._training(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            if self._bfloat16_on_cpu:
                self._use_attention("eager")
            yield

    def _use_attention(self, name: str) -> None:
        if self.model.config._attn_implementation != name:
            self.model.set_attn_implementation(name)


def _check_private(inner: InnerSpec, ranks: Ranks, shares: Sequence[float]) -> None:
    if ranks.sharded:
        raise DocumentError(
            "sensitive text is trained on with one device only",
            where="devices",
            remedy="set devices = 1 in member.toml",
        )
    if inner.vocabulary == "seen":
        raise DocumentError(
            "the tokens of sensitive text would show in what the softmax leaves out",
            where="inner.vocabulary",
            remedy="set inner.vocabulary to 'full' in the run document",
        )
    if sum(shares) > MAX_SHARE:
        raise DocumentError(
            f"sensitive text makes {sum(shares):.2f} of a step",
            where="share",
            remedy=f"let the shares add up to {MAX_SHARE} or less",
        )


def _check_finite(losses: Tensor, norms: Tensor, first_step: int) -> None:
    finite = torch.isfinite(losses) & torch.isfinite(norms)
    if not bool(finite.all()):
        step = first_step + int((~finite).nonzero()[0])
        raise TrainingDiverged(
            f"loss or gradient is no longer a finite number at inner step {step}",
            remedy="lower inner.lr and inner.matrix_lr, or lengthen inner.warmup_steps",
        )
