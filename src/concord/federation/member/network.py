"""The network of a run, with what of the inner state travels: the content of a base file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from concord.base.tensors import FloatArray, TensorSpec
from concord.charter.run import RunDocument
from concord.model.build import ModelShape, build_model
from concord.model.folder import load_folder
from concord.model.tensors import read_tensors, tensor_specs
from concord.model.tokenizer import Tokenizer
from concord.train.shared_state import SharedState


def build_network(
    run: RunDocument, tokenizer: Tokenizer, continued: Path | None
) -> PreTrainedModel:
    """The network with which a run begins: seeded, or the model folder it continues from."""
    if continued is not None:
        return load_folder(continued).model
    spec = run.model
    shape = ModelShape(
        hidden=spec.hidden,
        layers=spec.layers,
        heads=spec.heads,
        kv_heads=spec.kv_heads,
        head_dim=spec.head_dim,
        intermediate=spec.intermediate,
        context=spec.context,
        vocabulary_size=tokenizer.size,
        end_id=tokenizer.end_id,
        architecture=spec.architecture,
    )
    return build_model(shape, seed=run.seed)


def over_vocabulary(model: PreTrainedModel, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows] Counts of tokens, with zeros for the rows that a network has beyond its tokenizer.

    Many published networks round their vocabulary up.
    """
    rows = int(model.get_input_embeddings().weight.shape[0])
    return np.pad(counts, (0, rows - len(counts)))


def base_specs(model: PreTrainedModel, shared: SharedState) -> list[TensorSpec]:
    """Weights and shared state, sorted by name."""
    return sorted([*tensor_specs(model), *shared.specs()])


def read_base_arrays(model: PreTrainedModel, shared: SharedState) -> dict[str, FloatArray]:
    """The network's weights, and zeros for the shared state: nothing was learned yet."""
    arrays = read_tensors(model)
    for spec in shared.specs():
        arrays[spec.name] = np.zeros(spec.shape, np.float32)
    return arrays
