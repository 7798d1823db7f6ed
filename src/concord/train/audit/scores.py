"""How well a network knows rows of tokens: nats of each, and whether it says the rest by heart.

One pass gives both. Greedy continuation of a prefix repeats the true tokens exactly if, at each
place, the most likely token after the *true* ones before it is the true one: so nothing has to be
generated, and no token is generated twice (checked against generation in the tests).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from concord.model.sharding import forward_only
from concord.train.evaluate import BATCH_TOKENS, target_nats

PREFIX_TOKENS = CONTINUED_TOKENS = 50
"""As in Carlini et al. 2022, "Quantifying memorization"; half a row each where rows are shorter."""


@dataclass(frozen=True)
class RowScores:
    """Of some rows of equal length.

    Attributes:
        nats: [rows] Mean per target.
        by_heart: [rows] Whether the continuation comes out word for word.
    """

    nats: NDArray[np.float64]
    by_heart: NDArray[np.bool_]


def continuation(targets: int) -> tuple[int, int]:
    """First and last target of the continuation in a row: 50 after 50, or the second half."""
    if targets >= PREFIX_TOKENS + CONTINUED_TOKENS:
        return PREFIX_TOKENS, PREFIX_TOKENS + CONTINUED_TOKENS
    return targets - targets // 2, targets


def score_rows(
    model: PreTrainedModel, rows: NDArray[np.int64], *, batch_tokens: int = BATCH_TOKENS
) -> RowScores:
    """Score [rows, 1 + targets] token ids; the first of each is only read."""
    count, width = rows.shape
    nats = np.empty(count)
    by_heart = np.empty(count, np.bool_)
    first, last = continuation(width - 1)
    model.eval()
    at_once = max(1, batch_tokens // width)
    for start in range(0, count, at_once):
        part = slice(start, start + at_once)
        tokens = torch.from_numpy(np.ascontiguousarray(rows[part])).to(model.device)
        with forward_only(model):
            logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
            targets = tokens[:, 1:]
            nats[part] = target_nats(logits, targets).double().mean(1).cpu().numpy()
            said = logits[:, first:last].argmax(2) == targets[:, first:last]
            by_heart[part] = said.all(1).cpu().numpy()
    return RowScores(nats, by_heart)
