"""Tensors of a network that does not exist yet: names and shapes, from a run document or a size."""

from __future__ import annotations

from collections.abc import Iterator

from concord.base.errors import DocumentError
from concord.base.roles import weight_role
from concord.base.tensors import TensorSpec
from concord.charter.run import RunDocument
from concord.charter.run_sections import ModelSpec
from concord.federation.disk import network_parameters

VOCABULARY = 65_536
"""Tokens of a network given by its size alone (assumption)."""
HEAD_DIM = 128
WIDTH_PER_LAYER = 128
"""Hidden width over layers, as usual from 1 to 100 billion parameters (assumption)."""
WIDEST = 1 << 16
SMALLEST, LARGEST = 10**8, 10**13


def network_of(parameters: int) -> tuple[ModelSpec, int]:
    """A Qwen3 network of about so many parameters, and its vocabulary.

    Width 128 times the layers, a quarter of the heads for keys and values, an inner layer three
    times as wide: the usual proportions. Of all widths the one that comes nearest.

    Raises:
        DocumentError: there is no such network.
    """
    if not SMALLEST <= parameters <= LARGEST:
        raise DocumentError(
            f"{parameters:,} is not between {SMALLEST:,} and {LARGEST:,}",
            where="--parameters",
            remedy="for another network, give its run document",
        )
    shapes = [_shape(hidden, parameters) for hidden in range(512, WIDEST + 1, 4 * HEAD_DIM)]
    model = min(shapes, key=lambda shape: _unlike(shape, parameters))
    return model, VOCABULARY


def _shape(hidden: int, parameters: int) -> ModelSpec:
    heads = hidden // HEAD_DIM
    per_layer = hidden * hidden * 2 * 5 // 4 + 3 * hidden * 3 * hidden
    return ModelSpec(
        hidden=hidden,
        layers=max(1, round((parameters - VOCABULARY * hidden) / per_layer)),
        heads=heads,
        kv_heads=heads // 4,
        head_dim=HEAD_DIM,
        intermediate=3 * hidden,
    )


def _unlike(shape: ModelSpec, parameters: int) -> float:
    """How far a shape is from the size and from the usual proportions."""
    found = network_parameters(shape, VOCABULARY)
    ratio = shape.hidden / (WIDTH_PER_LAYER * shape.layers)
    return 20 * abs(found / parameters - 1) + abs(max(ratio, 1 / ratio) - 1)


def network_specs(model: ModelSpec, vocabulary: int) -> list[TensorSpec]:
    """Name and shape of every weight of a Qwen3 network with tied embeddings, sorted by name."""
    specs = [
        TensorSpec("model.embed_tokens.weight", (vocabulary, model.hidden)),
        TensorSpec("model.norm.weight", (model.hidden,)),
    ]
    for number in range(model.layers):
        prefix = f"model.layers.{number}."
        specs += [TensorSpec(prefix + name + ".weight", shape) for name, shape in _layer(model)]
    return sorted(specs)


def _layer(model: ModelSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, queries, keys = (
        model.hidden,
        model.heads * model.head_dim,
        model.kv_heads * model.head_dim,
    )
    yield "self_attn.q_proj", (queries, hidden)
    yield "self_attn.k_proj", (keys, hidden)
    yield "self_attn.v_proj", (keys, hidden)
    yield "self_attn.o_proj", (hidden, queries)
    yield "self_attn.q_norm", (model.head_dim,)
    yield "self_attn.k_norm", (model.head_dim,)
    yield "mlp.gate_proj", (model.intermediate, hidden)
    yield "mlp.up_proj", (model.intermediate, hidden)
    yield "mlp.down_proj", (hidden, model.intermediate)
    yield "input_layernorm", (hidden,)
    yield "post_attention_layernorm", (hidden,)


def optimizer_specs(run: RunDocument, weights: list[TensorSpec]) -> list[TensorSpec]:
    """Every tensor that the inner optimiser keeps: `concord.train.optimizers` names them."""
    found = []
    for spec in weights:
        body = weight_role(spec.name, spec.shape) == "body"
        muon = body and run.inner.optimizer == "muon"
        kinds = ("momentum",) if muon else ("first_moment", "second_moment")
        found += [TensorSpec(f"{kind}/{spec.name}", spec.shape) for kind in kinds]
    return sorted(found)


def shared_specs(run: RunDocument, weights: list[TensorSpec]) -> list[TensorSpec]:
    """Inner state that travels: `concord.train.shared_state` makes it."""
    kept = optimizer_specs(run, weights)
    match run.inner.state.mode:
        case "local":
            return []
        case "averaged":
            return kept
        case "second_moment":
            return [spec for spec in kept if spec.name.startswith("second_moment/")]
    rows = []
    for spec in kept:
        kind, _, name = spec.name.partition("/")
        if kind == "second_moment":
            place = "second_moment/rows/" if len(spec.shape) > 1 else "second_moment/"
            rows.append(TensorSpec(place + name, spec.shape[:1]))
    return sorted(rows)
