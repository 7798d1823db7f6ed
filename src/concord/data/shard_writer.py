"""A stream of tokens, cut into files of a fixed length, each written whole or not at all."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from concord.base.files import atomic_file
from concord.data.shard_index import ShardFile


class ShardWriter:
    """Writes `shard-00000.bin`, `shard-00001.bin`, … of `shard_tokens` tokens; the last is shorter.

    Used as a context; after it, `shards` lists the files.
    """

    def __init__(self, folder: Path, dtype: np.dtype[Any], shard_tokens: int, *, mode: int) -> None:
        self.shards: list[ShardFile] = []
        self._folder = folder
        self._dtype = dtype
        self._shard_tokens = shard_tokens
        self._mode = mode
        self._open = ExitStack()
        self._stream: BinaryIO | None = None
        self._tokens = 0
        self._sha256 = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._close()
        else:
            self._open.__exit__(kind, error, trace)

    def write(self, tokens: NDArray[np.int64]) -> None:
        """Append tokens, all of which fit the data type."""
        while len(tokens):
            if self._stream is None:
                self._stream = self._open.enter_context(
                    atomic_file(self._folder / self._name, mode=self._mode)
                )
            now, tokens = np.split(tokens, [self._shard_tokens - self._tokens])
            data = now.astype(self._dtype).tobytes()
            self._sha256.update(data)
            self._stream.write(data)
            self._tokens += len(now)
            if self._tokens == self._shard_tokens:
                self._close()

    @property
    def _name(self) -> str:
        return f"shard-{len(self.shards):05d}.bin"

    def _close(self) -> None:
        if self._stream is not None:
            digest = "sha256:" + self._sha256.hexdigest()
            self._open.close()
            self.shards.append(ShardFile(self._name, self._tokens, digest))
            self._stream, self._tokens, self._sha256 = None, 0, hashlib.sha256()
