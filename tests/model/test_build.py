"""A new network: what it contains, and that a seed decides it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from concord.base.errors import ModelError
from concord.model.build import build_model
from concord.model.tensors import read_tensors, roles, tensor_specs
from tinymodels import TINY


def test_a_seed_decides_every_weight_and_leaves_the_global_random_state_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = read_tensors(build_model(TINY, seed=7))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = read_tensors(build_model(TINY, seed=7))
    other = read_tensors(build_model(TINY, seed=8))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(
        first["model.embed_tokens.weight"], other["model.embed_tokens.weight"]
    )


def test_tied_weights_appear_once_and_names_are_sorted():
    names = [spec.name for spec in tensor_specs(build_model(TINY, seed=0))]
    assert names == sorted(names)
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" not in names


def test_weights_are_float32_and_initialised_by_depth():
    tensors = read_tensors(build_model(replace(TINY, hidden=128), seed=0))
    assert all(array.dtype == np.float32 for array in tensors.values())
    inner = tensors["model.layers.0.mlp.up_proj.weight"].std()
    residual = tensors["model.layers.0.mlp.down_proj.weight"].std()
    assert inner == pytest.approx(0.02, rel=0.05)
    assert residual == pytest.approx(0.01, rel=0.05)  # 0.02 / sqrt(2 * 2 layers)
    assert (tensors["model.norm.weight"] == 1).all()


def test_queries_and_keys_are_normalised_per_head():
    tensors = read_tensors(build_model(TINY, seed=0))
    assert tensors["model.layers.0.self_attn.q_norm.weight"].shape == (16,)


def test_roles_tell_embedding_body_and_vector_apart():
    found = roles(build_model(TINY, seed=0))
    assert found["model.embed_tokens.weight"] == "embedding"
    assert found["model.layers.1.self_attn.q_proj.weight"] == "body"
    assert found["model.layers.1.input_layernorm.weight"] == "vector"
    assert set(found.values()) == {"body", "embedding", "vector"}


def test_an_impossible_shape_is_refused():
    with pytest.raises(ModelError, match="outside a vocabulary"):
        build_model(replace(TINY, end_id=64), seed=0)
    with pytest.raises(ModelError, match="cannot share"):
        build_model(replace(TINY, heads=3, kv_heads=2), seed=0)
