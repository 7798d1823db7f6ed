"""Which devices a member computes on: its own wish, and what its machine has."""

from __future__ import annotations

from pathlib import Path

import torch

from concord.base.errors import DocumentError
from concord.federation.folders import MemberFile
from concord.federation.member.text import MemberText


def check_devices(text: MemberText) -> None:
    """See, before any text is read, that the member's devices are there and can share a batch.

    Raises:
        DocumentError: they are not, or there are more of them than samples in a batch.
    """
    choose_device(text.file, text.folder.file)
    if text.file.devices > text.batch_size:
        raise DocumentError(
            f"devices: a batch of {text.batch_size} samples cannot be split over"
            f" {text.file.devices} devices",
            where=text.folder.file,
            remedy=f"set devices to {max(1, text.batch_size)} or less",
        )


def choose_device(file: MemberFile, where: Path) -> torch.device:
    """The device of the member's first process.

    Raises:
        DocumentError: the machine has none of that kind, or fewer than asked for.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return torch.device(device_kind(file, gpus=gpus, where=where))


def device_kind(file: MemberFile, *, gpus: int, where: Path) -> str:
    """`cuda` or `cpu`, on a machine with so many GPUs.

    Raises:
        DocumentError: as `choose_device`.
    """
    if file.device == "cuda" and not gpus:
        raise DocumentError(
            "asks for device 'cuda', and there is none",
            where=where,
            remedy="set device to 'auto' or 'cpu', or repair the driver",
        )
    if file.device == "cpu" or not gpus:
        return "cpu"
    if file.devices > gpus:
        raise DocumentError(
            f"devices: asks for {file.devices} GPUs, and there are {gpus}",
            where=where,
            remedy=f"set devices to {gpus} or less, or device to 'cpu'",
        )
    return "cuda"
