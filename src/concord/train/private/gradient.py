"""The gradient of DP-SGD: documents drawn by chance, each clipped, their sum under noise.

    G = ( Σ_drawn g·min(1, C/‖g‖) + N(0, (z·C)²) ) / B

g is the gradient of one document's mean loss over all weights together, a tied embedding counted
once with both its uses; C the clip norm, z the noise multiplier, B the *expected* number of
documents, which no drawing changes. A document gives one window of at most `context` tokens at a
time, begun at a place drawn anew, so that its whole text is one unit of privacy.

Gradients are taken one document after another. In float32 on a CPU that was measured to cost about
what `torch.func.vmap` does, a fifth more than one pass over all, and it works with every network,
tied weights and optimiser (docs/benchmarks/privacy.md).

Source: Abadi et al. 2016, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from concord.base.errors import DocumentError
from concord.train.private.accounting import SampledNoise
from concord.train.private.randomness import SecretStream, poisson_sample

MAX_SHARE = 0.95
LossOfDocument = Callable[[NDArray[np.int64]], Tensor]
"""Mean loss of one document's tokens, [tokens] with the token before the first target."""


class Documents(Protocol):
    """Documents as tokens; `data.document_tokens.DocumentTokens` is one."""

    def __len__(self) -> int: ...

    def tokens(self, index: int) -> NDArray[np.int64]:
        """[length] Tokens of one document, its begin token first; at least 2."""


@dataclass(frozen=True)
class PrivateRule:
    """How one set of documents is trained on.

    Raises:
        DocumentError: a number is out of its range.
    """

    noise_multiplier: float
    clip_norm: float
    documents_per_step: float
    """B, expected."""
    share: float
    """Part of the step's gradient that comes from these documents."""

    def __post_init__(self) -> None:
        if not 0 < self.share <= MAX_SHARE:
            raise DocumentError(f"a share of {self.share}", remedy=f"use 0 to {MAX_SHARE}")
        if min(self.noise_multiplier, self.clip_norm, self.documents_per_step) <= 0:
            raise DocumentError("noise, clip norm and documents per step must be above 0")

    def mechanism(self, documents: int) -> SampledNoise:
        """What one step spends, for a set of this size."""
        return SampledNoise(self.noise_multiplier, min(1.0, self.documents_per_step / documents))


class PrivateGradient:
    """Adds to the gradients of a step what a set of documents says, under noise.

    Args:
        documents: The set; its size counts as public.
        rule: How it is trained on.
        context: Most targets that a document gives at a time.
        stream: Where sample, windows and noise come from; never one that was used before.
    """

    def __init__(
        self, documents: Documents, rule: PrivateRule, *, context: int, stream: SecretStream
    ) -> None:
        if not len(documents):
            raise DocumentError("holds no document")
        self.rule = rule
        self.mechanism = rule.mechanism(len(documents))
        self._documents = documents
        self._context = context
        self._stream = stream

    def noised_mean(
        self, parameters: Sequence[nn.Parameter], loss_of: LossOfDocument
    ) -> list[Tensor]:
        """G for each parameter; their own gradients are used up on the way.

        Args:
            loss_of: Called once for each document that was drawn.
        """
        count = len(self._documents)
        drawn = poisson_sample(self._stream, count, self.mechanism.sampling_rate)
        places = self._stream.uniform(len(drawn))
        sums = [torch.zeros_like(p) for p in parameters]
        for index, place in zip(drawn.tolist(), places.tolist(), strict=True):
            window = self._window(self._documents.tokens(index), place)
            _add_clipped(sums, parameters, loss_of(window), self.rule.clip_norm)
        # B is rate·count and not the number drawn: that one depends on who is in the set.
        expected = self.mechanism.sampling_rate * count
        deviation = self.rule.noise_multiplier * self.rule.clip_norm
        for total in sums:
            noise = self._stream.normal(total.shape).to(total.device, total.dtype)
            total.add_(noise, alpha=deviation).div_(expected)
        return sums

    def _window(self, tokens: NDArray[np.int64], place: float) -> NDArray[np.int64]:
        starts = max(0, len(tokens) - (self._context + 1)) + 1
        begin = int(place * starts)
        return tokens[begin : begin + self._context + 1]


def mix(
    parameters: Sequence[nn.Parameter], shares: Sequence[float], found: Sequence[list[Tensor]]
) -> None:
    """Put into each `grad` the mean of itself and the noised ones, weighted by their shares."""
    for place, parameter in enumerate(parameters):
        assert parameter.grad is not None
        parameter.grad.mul_(1 - sum(shares))
        for share, gradients in zip(shares, found, strict=True):
            parameter.grad.add_(gradients[place], alpha=share)


def _add_clipped(
    sums: Sequence[Tensor], parameters: Sequence[nn.Parameter], loss: Tensor, clip_norm: float
) -> None:
    """Add one document's gradient, scaled down to the clip norm; one that is no number adds 0."""
    gradients = torch.autograd.grad(loss, list(parameters), allow_unused=True)
    present = [g for g in gradients if g is not None]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in present]))
    if not bool(torch.isfinite(norm)):
        return
    scale = torch.clamp(clip_norm / norm.clamp_min(1e-12), max=1.0)
    for total, gradient in zip(sums, gradients, strict=True):
        if gradient is not None:
            total.add_(gradient * scale)
