"""Held-out bits per byte: how well a model predicts text it never saw, whatever its tokenizer.

A document is scored whole, in windows of the model's context. Each window but the first starts from
the last token of the one before; the first starts from the token that begins a document. The nats
of all tokens, divided by ln 2 and by the UTF-8 bytes of the text, are the bits per byte.

Only sums leave a member, and sums of several members add. Evaluation runs in float32 and never
leaves a target out, whatever the training does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from concord.model.sharding import forward_only

Encode = Callable[[str], Sequence[int]]
BATCH_TOKENS = 4096
WINDOWS_SORTED_AT_ONCE = 1024


@dataclass(frozen=True)
class HeldoutSums:
    """What leaves a member: sums over its held-out documents."""

    nats: float = 0.0
    bytes: int = 0
    tokens: int = 0
    documents: int = 0

    def __add__(self, other: HeldoutSums) -> HeldoutSums:
        return HeldoutSums(
            self.nats + other.nats,
            self.bytes + other.bytes,
            self.tokens + other.tokens,
            self.documents + other.documents,
        )

    @property
    def bits_per_byte(self) -> float:
        """Bits needed per byte of text; NaN without text."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan


@dataclass(frozen=True)
class Window:
    """Consecutive inputs and the tokens that follow each."""

    inputs: Sequence[int]
    targets: Sequence[int]


def heldout_sums(
    model: PreTrainedModel,
    documents: Iterable[str],
    encode: Encode,
    *,
    start_id: int,
    context: int,
    max_bytes: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> HeldoutSums:
    """Score documents until `max_bytes` of text are reached; the last one is scored whole.

    Args:
        encode: Text to token ids, without special tokens.
        start_id: Token before the first of each document: the model's begin token, or its end
            token where it has no begin token.
        context: Window in tokens.
        batch_tokens: Tokens scored at once, padding included.
    """
    nats, size, tokens, count = 0.0, 0, 0, 0
    waiting: list[Window] = []
    for text in documents:
        if max_bytes is not None and size >= max_bytes:
            break
        ids = encode(text)
        size += len(text.encode())
        tokens += len(ids)
        count += 1
        waiting += windows(ids, start_id=start_id, context=context)
        if len(waiting) >= WINDOWS_SORTED_AT_ONCE:
            nats += sum(window_nats(model, waiting, batch_tokens=batch_tokens))
            waiting = []
    nats += sum(window_nats(model, waiting, batch_tokens=batch_tokens))
    return HeldoutSums(nats, size, tokens, count)


def windows(ids: Sequence[int], *, start_id: int, context: int) -> Iterator[Window]:
    """Cut a document into windows of at most `context` targets."""
    for begin in range(0, len(ids), context):
        targets = ids[begin : begin + context]
        first = ids[begin - 1] if begin else start_id
        yield Window([first, *targets[:-1]], targets)


def window_nats(
    model: PreTrainedModel, given: Sequence[Window], *, batch_tokens: int = BATCH_TOKENS
) -> list[float]:
    """Nats of all targets of each window, in the order given. Like lengths are scored together."""
    order = sorted(range(len(given)), key=lambda index: len(given[index].targets))
    nats = [0.0] * len(given)
    for batch in _batches(order, given, batch_tokens):
        for index, value in zip(batch, _score(model, [given[i] for i in batch]), strict=True):
            nats[index] = value
    return nats


def _batches(
    order: Sequence[int], given: Sequence[Window], batch_tokens: int
) -> Iterator[list[int]]:
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * len(given[index].targets) > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _score(model: PreTrainedModel, batch: Sequence[Window]) -> list[float]:
    """Padding stands on the right, where causal attention never sees it."""
    model.eval()
    longest = max(len(window.targets) for window in batch)
    inputs = torch.zeros(len(batch), longest, dtype=torch.int64)
    targets = torch.full((len(batch), longest), -100)
    for row, window in enumerate(batch):
        inputs[row, : len(window.inputs)] = torch.tensor(window.inputs)
        targets[row, : len(window.targets)] = torch.tensor(window.targets)
    with forward_only(model):
        logits = model(input_ids=inputs.to(model.device), use_cache=False).logits
        nats = target_nats(logits, targets.to(model.device))
        return [float(value) for value in nats.double().sum(1)]


def target_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Nats of each target, [samples, T]; 0 where the target is -100."""
    nats = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100, reduction="none"
    )
    return nats.view(targets.shape)
