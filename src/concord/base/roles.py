"""What a weight is, told by its name and shape: optimisers and merge rules must agree on it."""

from __future__ import annotations

from typing import Literal

WeightRole = Literal["body", "embedding", "vector"]
VOCABULARY_OWNERS = frozenset(
    {
        "embed_in",
        "embed_out",
        "embed_positions",
        "embed_tokens",
        "lm_head",
        "output",
        "tok_embeddings",
        "word_embeddings",
        "wpe",
        "wte",
    }
)
"""Modules that hold token or position embeddings, or an untied head, in the usual families."""


def weight_role(name: str, shape: tuple[int, ...]) -> WeightRole:
    """What a weight is to optimisers and merge rules.

    `embedding`: token or position embedding, untied head; `body`: every other matrix; `vector`: the
    rest (norms, biases).
    """
    if len(shape) != 2:
        return "vector"
    owner = name.removesuffix(".weight").rpartition(".")[2]
    return "embedding" if owner in VOCABULARY_OWNERS else "body"
