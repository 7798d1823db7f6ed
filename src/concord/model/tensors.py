"""A network as named float32 tensors: the form in which it is digested, sent and merged.

A tied weight has one name. Names are sorted everywhere, so that two machines agree on the order.
Under FSDP each process holds a slice of every tensor; reading gathers, loading slices again, and
every process has to take part in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from concord.base.digest import Digest
from concord.base.errors import ModelError
from concord.base.roles import WeightRole, weight_role
from concord.base.tensors import FloatArray, TensorFile, TensorSpec, write_tensors
from concord.model.sharding import copy_whole, gather


def roles(model: nn.Module) -> dict[str, WeightRole]:
    """Role of each tensor, sorted by name."""
    return {spec.name: weight_role(spec.name, spec.shape) for spec in tensor_specs(model)}


def tensor_specs(model: nn.Module) -> list[TensorSpec]:
    """Name and shape of every tensor of the network, sorted by name."""
    return sorted(TensorSpec(name, tuple(value.shape)) for name, value in model.named_parameters())


def parameter_count(model: nn.Module) -> int:
    """Number of weights, tied ones counted once."""
    return sum(spec.size for spec in tensor_specs(model))


def read_tensors(model: nn.Module) -> dict[str, FloatArray]:
    """Copies of all weights as float32 arrays, sorted by name."""
    return dict(_arrays(model))


def save_tensors(path: Path, model: nn.Module) -> Digest:
    """Write all weights as a canonical tensor file; its digest is the digest of the model."""
    return write_tensors(path, tensor_specs(model), (array for _, array in _arrays(model)))


def _arrays(model: nn.Module) -> Iterator[tuple[str, FloatArray]]:
    for name, parameter in sorted(model.named_parameters()):
        yield name, to_array(parameter)


def to_array(tensor: Tensor) -> FloatArray:
    """A float32 copy of the whole tensor on the host, gathered if it is sharded."""
    whole = gather(tensor.detach())
    return np.array(whole.float().cpu().numpy(), dtype=np.float32)


@torch.no_grad()
def load_tensors(model: nn.Module, tensors: TensorFile | Mapping[str, FloatArray]) -> None:
    """Copy named arrays into the network.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape; nothing was changed.
    """
    check_tensors(model, tensors)
    for name, parameter in sorted(model.named_parameters()):
        copy_array(parameter, tensors[name])


def check_tensors(model: nn.Module, tensors: TensorFile | Mapping[str, FloatArray]) -> None:
    """Compare names and shapes with the network.

    Raises:
        ModelError: they differ.
    """
    where = tensors.path if isinstance(tensors, TensorFile) else None
    remedy = "use the base that the run document's model section describes"
    wanted = {spec.name: spec.shape for spec in tensor_specs(model)}
    given = {spec.name: spec.shape for spec in _given_specs(tensors)}
    for name in sorted(wanted.keys() ^ given.keys()):
        state = "is missing" if name in wanted else "is not part of this network"
        raise ModelError(f"tensor {name[:120]} {state}", where=where, remedy=remedy)
    for name, shape in wanted.items():
        if given[name] != shape:
            raise ModelError(
                f"tensor {name} has shape {given[name]}, the network needs {shape}",
                where=where,
                remedy=remedy,
            )


def _given_specs(tensors: TensorFile | Mapping[str, FloatArray]) -> Iterator[TensorSpec]:
    if isinstance(tensors, TensorFile):
        yield from tensors.specs
    else:
        yield from (TensorSpec(name, array.shape) for name, array in tensors.items())


def copy_array(target: Tensor, array: FloatArray) -> None:
    """Copy a whole array into a tensor in place, each process its own slice if it is sharded."""
    copy_whole(target, torch.from_numpy(np.array(array, dtype=np.float32)))
