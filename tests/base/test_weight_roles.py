"""One rule tells embeddings from matrices, for the optimiser and for the merge."""

import pytest

from concord.base.roles import weight_role


@pytest.mark.parametrize(
    ("name", "shape", "role"),
    [
        ("model.embed_tokens.weight", (64, 8), "embedding"),
        ("transformer.wte.weight", (64, 8), "embedding"),
        ("transformer.word_embeddings.weight", (64, 8), "embedding"),
        ("lm_head.weight", (64, 8), "embedding"),
        ("gpt_neox.embed_in.weight", (64, 8), "embedding"),
        ("transformer.h.0.attn.c_attn.weight", (8, 24), "body"),
        ("model.layers.0.mlp.output.dense.weight", (8, 24), "body"),
        ("transformer.h.0.attn.c_attn.bias", (24,), "vector"),
        ("transformer.word_embeddings_layernorm.weight", (8,), "vector"),
        ("model.layers.0.mlp.experts.gate_up_proj", (4, 8, 24), "vector"),
    ],
)
def test_roles_in_the_usual_families(name, shape, role):
    assert weight_role(name, shape) == role
