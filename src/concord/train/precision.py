"""Whether a device gains from bfloat16."""

from __future__ import annotations

import torch


def gains_from_bfloat16(device: torch.device) -> bool:
    """GPUs and CPUs with AVX-512 or comparable units; others emulate it, many times slower.

    A run document asks for bf16; a machine that has no use for it computes in float32 instead,
    which is the same method, more exactly. Weights and state are float32 on every machine.
    """
    if device.type != "cpu":
        return True
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
