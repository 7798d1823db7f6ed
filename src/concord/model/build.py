"""A new network from a shape: Qwen3, a Llama-family architecture with QK-norm and tied embeddings.

The same shape and seed give the same weights wherever the same torch runs: every parameter is drawn
from a generator of its own, seeded by (seed, name), and the global random state is left alone.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from concord.base.errors import ModelError

INIT_STD = 0.02  # GPT-2, and every Llama since
RESIDUAL_OUTPUTS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


@dataclass(frozen=True)
class ModelShape:
    """Everything that decides the shapes of the tensors; `context` is in tokens."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    context: int
    vocabulary_size: int
    end_id: int
    """Token that ends a document; it also starts the first one."""
    architecture: Literal["qwen3"] = "qwen3"


def build_model(shape: ModelShape, *, seed: int) -> PreTrainedModel:
    """Build a network with float32 weights.

    Matrices are normal with deviation 0.02; those that write into the residual stream are divided
    by √(2·layers) so that its variance does not grow with depth (GPT-2, section 2.3). Norms are 1.

    Raises:
        ModelError: the shape is impossible, such as an end token outside the vocabulary.
    """
    if not 0 <= shape.end_id < shape.vocabulary_size:
        raise ModelError(
            f"end token {shape.end_id} is outside a vocabulary of {shape.vocabulary_size}"
        )
    if shape.heads % shape.kv_heads:
        raise ModelError(f"{shape.heads} heads cannot share {shape.kv_heads} key-value heads")
    with torch.random.fork_rng(devices=[]):
        model = Qwen3ForCausalLM(_config(shape))
    _initialise(model, seed=seed, layers=shape.layers)
    return model


def _config(shape: ModelShape) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=shape.vocabulary_size,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context,
        initializer_range=INIT_STD,
        tie_word_embeddings=True,
        attention_bias=False,
        attention_dropout=0.0,
        use_sliding_window=False,
        bos_token_id=None,
        eos_token_id=shape.end_id,
        pad_token_id=None,
        attn_implementation="sdpa",
        dtype="float32",
    )


@torch.no_grad()
def _initialise(model: PreTrainedModel, *, seed: int, layers: int) -> None:
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            parameter.fill_(1.0)
            continue
        scale = 1 / math.sqrt(2 * layers) if name.endswith(RESIDUAL_OUTPUTS) else 1.0
        parameter.normal_(0.0, INIT_STD * scale, generator=_generator(seed, name))


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
