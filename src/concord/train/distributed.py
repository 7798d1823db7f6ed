"""One member on several devices: FSDP2 under `torchrun`, with the trainer of one device.

    torchrun --nproc-per-node 8 $(which concord) member ...

Every process runs the same code on the same batches: it takes its rows of each batch and holds its
slice of every weight and of the optimiser's state. Reading weights, state or a checkpoint gathers,
so every process has to call it; the leader alone speaks with the coordinator and writes files. The
result is that of one process, up to the order in which float32 sums are formed.

On a machine whose host name leads nowhere, gloo needs `GLOO_SOCKET_IFNAME` (such as `lo`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import PreTrainedModel

from concord.train.ranks import ONE_PROCESS, Ranks


def default_device() -> torch.device:
    """This process's GPU if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that `torchrun` started, if it started several; leave them at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ONE_PROCESS
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), sharded=True)
    finally:
        distributed.destroy_process_group()


def shard_model(model: PreTrainedModel, *, device: torch.device, ranks: Ranks) -> PreTrainedModel:
    """Slice a whole network over the ranks, layer by layer; with one rank only move it.

    Every rank gives the same weights.
    """
    model = model.to(device)
    if not ranks.sharded:
        return model
    mesh = init_device_mesh(device.type, (ranks.count,))
    layer_classes = set(model._no_split_modules or ())
    for module in model.modules():
        if type(module).__name__ in layer_classes:
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def broadcast_bytes(data: bytes | None, *, device: torch.device, ranks: Ranks) -> bytes:
    """The leader's bytes, on every rank; the others give None."""
    if ranks.count == 1:
        assert data is not None
        return data
    size = torch.tensor([len(data) if data is not None else 0], device=device)
    distributed.broadcast(size, src=0)
    content = torch.zeros(int(size), dtype=torch.uint8, device=device)
    if data:
        content.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    distributed.broadcast(content, src=0)
    return content.cpu().numpy().tobytes()
