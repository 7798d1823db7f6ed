"""Whole tensors from sharded ones and back, where FSDP2 holds a network in slices.

On a tensor that is not sharded both directions do nothing. On a sharded one every process of the
group has to call them, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def gather(tensor: Tensor) -> Tensor:
    """The whole tensor, on every process."""
    full_tensor = getattr(tensor, "full_tensor", None)
    return tensor if full_tensor is None else full_tensor()


def slice_like(whole: Tensor, target: Tensor) -> Tensor:
    """The slice of `whole` that this process holds of `target`; no communication."""
    placements = getattr(target, "placements", None)
    if placements is None:
        return whole
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(target, DTensor)
    return distribute_tensor(whole, target.device_mesh, placements, src_data_rank=None)


def is_sharded(tensor: Tensor) -> bool:
    return hasattr(tensor, "placements")


@torch.no_grad()
def copy_whole(target: Tensor, whole: Tensor) -> None:
    """Copy a whole tensor into `target` in place, each process its own slice."""
    target.copy_(slice_like(whole.to(target.device), target))


@contextmanager
def forward_only(model: nn.Module) -> Iterator[None]:
    """For calls of a network that no backward pass follows.

    FSDP2 frees what a forward pass has gathered only in the backward pass; until then the network's
    parameters are whole copies, and what is loaded into them is lost. It cannot free tensors of
    inference mode at all.
    """
    reshard = getattr(model, "reshard", None)
    if reshard is None:
        with torch.inference_mode():
            yield
        return
    try:
        with torch.no_grad():
            yield
    finally:
        reshard()
