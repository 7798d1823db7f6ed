"""In which form each tensor of a GGUF file is kept.

    f16    matrices in half precision; the embedding, which is also the output, in float32
    q8_0   matrices in blocks of 32 weights with one scale, 8 bits each
    q4_0   the same with 4 bits; the embedding keeps 8

What rounds the output adds to every logit: with the embedding in half precision too, logits were
off by a hundredth (`docs/benchmarks/gguf.md`). Who needs a small file takes another kind.

Vectors (the norms) stay in float32: they are few, and each scales a whole row. A matrix whose rows
are no multiple of 32 long cannot be cut into blocks and stays in f16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from gguf import GGMLQuantizationType, LlamaFileType
from gguf.constants import GGML_QUANT_SIZES

from concord.base.errors import DocumentError

Kind = Literal["f16", "q8_0", "q4_0"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FILE_TYPES = {
    "f16": LlamaFileType.MOSTLY_F16,
    "q8_0": LlamaFileType.MOSTLY_Q8_0,
    "q4_0": LlamaFileType.MOSTLY_Q4_0,
}
_MATRICES = {
    "f16": GGMLQuantizationType.F16,
    "q8_0": GGMLQuantizationType.Q8_0,
    "q4_0": GGMLQuantizationType.Q4_0,
}
_OUTPUT = frozenset({"token_embd.weight", "output.weight"})
_OF_OUTPUT = {
    "f16": GGMLQuantizationType.F32,
    "q8_0": GGMLQuantizationType.Q8_0,
    "q4_0": GGMLQuantizationType.Q8_0,
}


def kind_named(name: str) -> Kind:
    """The kind of this name.

    Raises:
        DocumentError: there is none.
    """
    for kind in KINDS:
        if kind == name:
            return kind
    raise DocumentError(
        f"{name[:40]!r} is no kind of GGUF file", where=name[:40], remedy=f"use {', '.join(KINDS)}"
    )


def tensor_kind(name: str, shape: Sequence[int], kind: Kind) -> GGMLQuantizationType:
    """Form of the tensor that GGUF calls `name`, of [rows, columns] or [values]."""
    if len(shape) < 2:
        return GGMLQuantizationType.F32
    wanted = (_OF_OUTPUT if name in _OUTPUT else _MATRICES)[kind]
    block_size, _ = GGML_QUANT_SIZES[wanted]
    return wanted if shape[-1] % block_size == 0 else GGMLQuantizationType.F16


def tensor_bytes(shape: Sequence[int], kind: GGMLQuantizationType) -> int:
    """Bytes of a tensor in this form, without padding."""
    block_size, block_bytes = GGML_QUANT_SIZES[kind]
    values = 1
    for length in shape:
        values *= length
    return values // int(block_size) * int(block_bytes)
