"""The share of facts a model knows: does it prefer the true answer to the distractors?

For each fact the nats of every option after the prompt are divided by the option's UTF-8 bytes, so
that neither a short answer nor a tokenizer that splits one script finely has an advantage. The fact
counts as known if the true answer costs strictly the least.

A prompt is read once for all its options: prompts of equal length stand in one batch, and the keys
and values of their tokens are shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from concord.train.evaluate import BATCH_TOKENS, Encode, target_nats


class Fact(Protocol):
    """A prompt, its true continuation and false ones."""

    @property
    def prompt(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def distractors(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class FactCounts:
    """How many facts were asked and known; counts of several members add."""

    known: int = 0
    asked: int = 0

    def __add__(self, other: FactCounts) -> FactCounts:
        return FactCounts(self.known + other.known, self.asked + other.asked)

    @property
    def share(self) -> float:
        return self.known / self.asked if self.asked else float("nan")


@dataclass(frozen=True)
class _Choice:
    """A prompt and its options, the true one first, as token ids; none is empty."""

    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]
    option_bytes: tuple[int, ...]


def fact_counts(
    model: PreTrainedModel,
    facts: Iterable[Fact],
    encode: Encode,
    *,
    start_id: int,
    context: int,
    batch_tokens: int = BATCH_TOKENS,
) -> FactCounts:
    """Ask every fact. What exceeds the context is cut from the beginning of the prompt.

    Args:
        encode: Text to token ids, without special tokens.
        start_id: Token that begins a document.
        batch_tokens: Tokens scored at once, padding included.
    """
    choices = [_choice(fact, encode, start_id, context) for fact in facts]
    model.eval()
    known = 0
    ordered = sorted(choices, key=lambda choice: len(choice.prompt))
    for _, alike in groupby(ordered, key=lambda choice: len(choice.prompt)):
        for batch in _batches(list(alike), batch_tokens):
            known += sum(map(_is_known, batch, _score(model, batch)))
    return FactCounts(known, len(choices))


def _choice(fact: Fact, encode: Encode, start_id: int, context: int) -> _Choice:
    """Prompt and option are encoded together, as in running text, where a token may span both.

    Options are scored from the first token in which any of them differs from the prompt alone.
    """
    texts = [fact.answer, *fact.distractors]
    alone = [start_id, *encode(fact.prompt)]
    joined = [[start_id, *encode(fact.prompt + text)] for text in texts]
    begin = min(min(_shared(alone, ids), len(ids) - 1) for ids in joined)
    begin = max(1, begin)
    cut = min(begin - 1, max(0, max(map(len, joined)) - (context + 1)))
    return _Choice(
        prompt=tuple(alone[cut:begin]),
        options=tuple(tuple(ids[begin:]) or (start_id,) for ids in joined),
        option_bytes=tuple(max(1, len(text.encode())) for text in texts),
    )


def _shared(one: Sequence[int], two: Sequence[int]) -> int:
    pairs = zip(one, two, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _batches(choices: Sequence[_Choice], batch_tokens: int) -> Iterator[list[_Choice]]:
    batch: list[_Choice] = []
    rows = longest = 0
    for choice in choices:
        rows += len(choice.options)
        longest = max(longest, len(choice.prompt), *map(len, choice.options))
        if batch and rows * longest > batch_tokens:
            yield batch
            batch, rows = [], len(choice.options)
            longest = max(len(choice.prompt), *map(len, choice.options))
        batch.append(choice)
    if batch:
        yield batch


def _is_known(choice: _Choice, nats: Sequence[float]) -> bool:
    costs = [value / size for value, size in zip(nats, choice.option_bytes, strict=True)]
    return all(costs[0] < other for other in costs[1:])


@torch.inference_mode()
def _score(model: PreTrainedModel, batch: Sequence[_Choice]) -> list[list[float]]:
    """Nats of every option of every choice. All prompts have the same length."""
    prompts = torch.tensor([choice.prompt for choice in batch], device=model.device)
    read = model(input_ids=prompts, use_cache=True, logits_to_keep=1)
    counts = [len(choice.options) for choice in batch]
    rows = torch.repeat_interleave(torch.arange(len(batch)), torch.tensor(counts))
    targets = _padded([option for choice in batch for option in choice.options])
    rows, targets = rows.to(model.device), targets.to(model.device)
    nats = target_nats(read.logits[rows], targets[:, :1]).double().sum(1)
    if targets.shape[1] > 1:
        logits = _continued(model, read.past_key_values, rows, targets[:, :-1].clamp_min(0))
        nats += target_nats(logits, targets[:, 1:]).double().sum(1)
    return [part.tolist() for part in torch.split(nats.cpu(), counts)]


def _continued(model: PreTrainedModel, cache: Any, rows: Tensor, inputs: Tensor) -> Tensor:
    """Logits after each option's tokens; padding on the right is never attended to."""
    cache.batch_select_indices(rows)
    logits: Tensor = model(input_ids=inputs, past_key_values=cache, use_cache=True).logits
    return logits


def _padded(options: Sequence[Sequence[int]]) -> Tensor:
    targets = torch.full((len(options), max(map(len, options))), -100)
    for row, option in enumerate(options):
        targets[row, : len(option)] = torch.tensor(option)
    return targets
