"""Continue a prompt, token by token, for `concord chat`.

Sampling with a temperature among the k likeliest tokens, from a seed; the same seed gives the same
text. Text is handed out as soon as it is whole characters of UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from concord.base.errors import ModelError

REPLACEMENT = "\ufffd"


class Tokenizer(Protocol):
    """What is asked of a tokenizer; those of `transformers` have it."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...
    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str: ...


@torch.inference_mode()
def continue_text(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.8,
    top_k: int = 40,
    seed: int = 0,
    on_token: Callable[[str], None] | None = None,
) -> str:
    """Return the continuation of `prompt`, without the prompt.

    Ends at the model's end token, or after `max_new_tokens`. Once the model's context is full, its
    older half is forgotten.

    Args:
        temperature: 0 always takes the likeliest token.
        top_k: Only this many likeliest tokens are sampled; 0 means all.
        on_token: Called with each piece of text as it comes.

    Raises:
        ModelError: the tokenizer gives token ids that the model does not have.
    """
    end_ids = _end_ids(model)
    context = int(getattr(model.config, "max_position_embeddings", 1024))
    begin_id = model.config.bos_token_id
    start = [begin_id] if begin_id is not None else sorted(end_ids)[:1]
    ids = [*start, *tokenizer.encode(prompt, add_special_tokens=False)] or [0]
    if max(ids) >= int(model.config.vocab_size):
        raise ModelError("tokenizer and model do not belong together: a token is unknown")
    generator = torch.Generator().manual_seed(seed)
    made: list[int] = []
    told = ""
    unread, cache = ids[-(context - 1) :], None
    seen = 0
    for _ in range(max_new_tokens):
        if seen + len(unread) > context:
            unread, cache, seen = [*ids, *made][-(context // 2) :], None, 0
        logits, cache = _next_logits(model, unread, cache)
        seen += len(unread)
        token = _sample(logits, temperature=temperature, top_k=top_k, generator=generator)
        if token in end_ids:
            break
        made.append(token)
        unread = [token]
        text = tokenizer.decode(made, skip_special_tokens=True)
        if on_token is not None and not text.endswith(REPLACEMENT):
            on_token(text[len(told) :])
            told = text
    text = tokenizer.decode(made, skip_special_tokens=True)
    if on_token is not None and text != told:
        on_token(text[len(told) :])
    return text


def _end_ids(model: PreTrainedModel) -> set[int]:
    value = model.config.eos_token_id
    if value is None:
        return set()
    return {value} if isinstance(value, int) else set(value)


def _next_logits(model: PreTrainedModel, unread: list[int], cache: Any) -> tuple[Tensor, Any]:
    inputs = torch.tensor([unread], device=model.device)
    output = model(input_ids=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return output.logits[0, -1].float().cpu(), output.past_key_values


def _sample(logits: Tensor, *, temperature: float, top_k: int, generator: torch.Generator) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    if 0 < top_k < len(logits):
        kept = logits.topk(top_k)
        choice = torch.multinomial((kept.values / temperature).softmax(0), 1, generator=generator)
        return int(kept.indices[choice])
    return int(torch.multinomial((logits / temperature).softmax(0), 1, generator=generator))
