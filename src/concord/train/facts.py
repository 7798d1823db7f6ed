"""The share of facts a model knows: does it prefer the true answer to the distractors?

For each fact the nats of every option after the prompt are divided by the option's UTF-8 bytes, so
that neither a short answer nor a tokenizer that splits one script finely has an advantage. The fact
counts as known if the true answer costs strictly the least.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

import torch
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
class _Option:
    """Token ids, of which those from `begin` are the option's own."""

    ids: tuple[int, ...]
    begin: int
    bytes: int


def fact_counts(
    model: PreTrainedModel,
    facts: Iterable[Fact],
    encode: Encode,
    *,
    start_id: int,
    context: int,
    batch_tokens: int = BATCH_TOKENS,
) -> FactCounts:
    """Ask every fact. Options beyond the context lose tokens at their beginning.

    Args:
        encode: Text to token ids, without special tokens.
        start_id: Token that begins a document.
    """
    asked = list(facts)
    choices = [_choice(fact, encode, start_id, context) for fact in asked]
    options = list(dict.fromkeys(option for choice in choices for option in choice))
    nats = _continuation_nats(model, options, batch_tokens)
    cost = {option: value / option.bytes for option, value in zip(options, nats, strict=True)}
    known = sum(all(cost[true] < cost[other] for other in others) for true, *others in choices)
    return FactCounts(known, len(asked))


def _choice(fact: Fact, encode: Encode, start_id: int, context: int) -> list[_Option]:
    """The options, the true one first, scored from the first token in which any two may differ.

    Prompt and option are encoded together, as in running text, where a token may span both.
    """
    texts = [fact.answer, *fact.distractors]
    alone = [start_id, *encode(fact.prompt)]
    joined = [[start_id, *encode(fact.prompt + text)] for text in texts]
    begin = max(1, min(_shared(alone, ids) for ids in joined))
    options = []
    for text, ids in zip(texts, joined, strict=True):
        cut = max(0, len(ids) - (context + 1))
        kept = tuple(ids[cut:])
        options.append(_Option(kept, max(1, begin - cut), max(1, len(text.encode()))))
    return options


def _shared(one: Sequence[int], two: Sequence[int]) -> int:
    pairs = zip(one, two, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _continuation_nats(
    model: PreTrainedModel, options: Sequence[_Option], batch_tokens: int
) -> list[float]:
    order = sorted(range(len(options)), key=lambda i: (len(options[i].ids), options[i].begin))
    nats = [0.0] * len(options)
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * len(options[order[stop]].ids) <= (
            batch_tokens
        ):
            stop += 1
        batch = order[start:stop]
        scored = _score(model, [options[index] for index in batch])
        for index, value in zip(batch, scored, strict=True):
            nats[index] = value
        start = stop
    return nats


@torch.inference_mode()
def _score(model: PreTrainedModel, batch: Sequence[_Option]) -> list[float]:
    """Only positions that predict a token of some option go through the head."""
    model.eval()
    longest = max(len(option.ids) for option in batch) - 1
    first = min(option.begin for option in batch) - 1
    inputs = torch.zeros(len(batch), longest, dtype=torch.int64)
    targets = torch.full((len(batch), longest), -100)
    for row, option in enumerate(batch):
        ids = torch.tensor(option.ids)
        inputs[row, : len(ids) - 1] = ids[:-1]
        targets[row, option.begin - 1 : len(ids) - 1] = ids[option.begin :]
    kept = longest - first
    logits = model(input_ids=inputs.to(model.device), use_cache=False, logits_to_keep=kept).logits
    nats = target_nats(logits, targets[:, first:].to(model.device))
    return [float(value) for value in nats.double().sum(1)]
