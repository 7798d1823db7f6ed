"""Low-rank adapters in place of all weights: less memory, smaller steps away from the base."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from transformers import PreTrainedModel

SCALE = 2
"""Adapters count this many times (`lora_alpha` over the rank); Hu et al. 2021 leave it free."""


def with_adapters(model: PreTrainedModel, rank: int, *, seed: int) -> Any:
    """The model with adapters on every matrix of its body; only they are trained.

    They begin as the zero matrix, from the seed. The global random state is left alone.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=SCALE * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft asks transformers in a way that transformers will drop.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def merged(model: Any) -> PreTrainedModel:
    """The base with its adapters added in: a model folder like any other."""
    base: PreTrainedModel = model.merge_and_unload()
    return base
