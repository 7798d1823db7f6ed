"""Bits per byte of a model on a member's held-out text and on public lines of other languages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from transformers import PreTrainedModel

from concord.federation.comparison.outcome import TextSums
from concord.model.tokenizer import Tokenizer
from concord.train.evaluate import heldout_sums

MAX_BYTES = 200_000
"""Of each text, as in a run's evaluation by default."""
Texts = Mapping[str, Callable[[], Iterable[str]]]
"""Documents to measure on, by name; each may be read more than once."""


def measure(
    model: PreTrainedModel, tokenizer: Tokenizer, texts: Texts, *, context: int
) -> dict[str, TextSums]:
    """Sums over each text, in the order given; one without documents is left out."""
    found = {}
    for name, documents in texts.items():
        sums = heldout_sums(
            model,
            documents(),
            tokenizer.encode,
            start_id=tokenizer.start_id,
            context=context,
            max_bytes=MAX_BYTES,
        )
        if sums.bytes:
            found[name] = TextSums(nats=sums.nats, bytes=sums.bytes, tokens=sums.tokens)
    return found
