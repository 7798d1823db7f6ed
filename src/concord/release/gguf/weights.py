"""The weights of a model folder, one tensor at a time, under the names that GGUF has for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors import SafetensorError, safe_open

from concord.base.errors import ModelError
from concord.base.tensors import FloatArray

TIED_HEAD = "lm_head.weight"
_BLOCK = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True)
class NamedTensor:
    """A tensor of the folder: its name there and in GGUF, and its shape."""

    name: str
    gguf_name: str
    shape: tuple[int, ...]


class FolderWeights:
    """The safetensors of a folder, in one file or several; a context manager.

    Args:
        blocks: Layers of the network.
        tied: Whether the embedding is the output too; a copy of it under another name is left out.

    Raises:
        ModelError: a file is damaged, or a tensor is none of the architecture's.
    """

    def __init__(self, folder: Path, *, blocks: int, tied: bool) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._files: dict[str, Any] = {}
        try:
            for path in sorted(folder.glob("*.safetensors")):
                file = self._stack.enter_context(safe_open(path, framework="pt"))
                self._files |= dict.fromkeys(file.keys(), file)
        except (SafetensorError, OSError) as error:
            self._stack.close()
            raise ModelError(
                "weights cannot be read", where=folder, remedy="restore the folder from its source"
            ) from error
        self.tensors = sorted(self._named(blocks, tied), key=_order)

    def __enter__(self) -> FolderWeights:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, tensor: NamedTensor) -> FloatArray:
        """The tensor in float32.

        Raises:
            ModelError: it holds a value that is no finite number.
        """
        values: FloatArray = self._files[tensor.name].get_tensor(tensor.name).float().numpy()
        if not np.isfinite(values).all():
            raise ModelError(f"tensor {tensor.name[:120]} is not finite", where=self.folder)
        return values

    def _named(self, blocks: int, tied: bool) -> Iterator[NamedTensor]:
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, blocks)
        for name, file in self._files.items():
            if tied and name == TIED_HEAD:
                continue
            found = names.get_name(name, try_suffixes=(".weight",))
            if found is None:
                raise ModelError(
                    f"tensor {name[:120]} is none of this architecture", where=self.folder
                )
            yield NamedTensor(name, found, tuple(file.get_slice(name).get_shape()))


def _order(tensor: NamedTensor) -> tuple[int, str]:
    block = _BLOCK.match(tensor.gguf_name)
    return (int(block[1]) if block else -1, tensor.gguf_name)
