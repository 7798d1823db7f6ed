"""One member on several devices: FSDP2, with the trainer of one device.

Every process runs the same code on the same batches: it takes its rows of each batch and holds its
slice of every weight and of the optimiser's state. Reading weights or state gathers, so every
process has to call it; the leader alone speaks with the coordinator and writes files. The result is
that of one process, up to the order in which float32 sums are formed.

The processes are those of `torchrun` (`joined_ranks`), or those that a member starts on its own
machine (`join_on_this_machine`). Under `torchrun`, on a machine whose host name leads nowhere, gloo
needs `GLOO_SOCKET_IFNAME` (such as `lo`).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import PreTrainedModel

from concord.train.ranks import ONE_PROCESS, Ranks

LONGEST_WAIT = timedelta(hours=1)
"""Others may be encoding a large update meanwhile; that a process has ended is seen elsewhere."""


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


def end_rank() -> NoReturn:
    """End this rank's process, its work done and written, without Python's own tear-down.

    Gloo's threads can still hold tensors then: one that asks for the interpreter while it is being
    torn down aborts the process (PyTorch pull request 179291), and `torchrun` ends all others.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def join_on_this_machine(device: torch.device, *, meeting: Path, index: int, count: int) -> Ranks:
    """Join processes of this machine until the process ends; returns when all have come.

    No port is agreed on: the processes find each other through a file, and speak on loopback only.

    Args:
        meeting: A file that does not exist yet, in a folder that only their user can read.
    """
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    if loopback is not None:
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = loopback
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        store=distributed.FileStore(str(meeting), count),  # type: ignore[attr-defined]
        rank=index,
        world_size=count,
        timeout=LONGEST_WAIT,
    )
    return Ranks(index, count, sharded=True)


def leader_says(asked: bool, *, ranks: Ranks) -> bool:
    """The leader's answer, on every rank. Crosses on the CPU, so that no GPU is waited for."""
    if ranks.count == 1:
        return asked
    answer = torch.tensor([int(asked)])
    distributed.broadcast(answer, src=0)
    return bool(answer)


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
