"""fp32 as it is, and bf16: the upper half of a float32, rounded half to even."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from concord.base.tensors import FloatArray
from concord.update.codecs.interface import (
    WINDOW,
    Codec,
    check_decoded,
    check_encodable,
    check_length,
)


class Plain(Codec):
    """A fixed number of bytes for each value on its own."""

    width: int
    """Bytes per value."""

    @abstractmethod
    def write(self, values: FloatArray) -> bytes:
        """Bytes of checked values."""

    @abstractmethod
    def read(self, data: memoryview, out: FloatArray) -> None:
        """Values of bytes, written into `out`."""

    def least_bytes(self, size: int) -> int:
        return self.width * size

    most_bytes = least_bytes

    def encode(self, values_D: FloatArray) -> bytes:
        parts = []
        for start in range(0, values_D.size, WINDOW):
            window = values_D[start : start + WINDOW]
            check_encodable(window)
            parts.append(self.write(window))
        return b"".join(parts)

    def joined(self, encoded: Sequence[memoryview], size: int) -> bytes | None:  # noqa: ARG002
        return b"".join(encoded)

    def windows(self, data: memoryview, size: int, length: int = WINDOW) -> Iterator[FloatArray]:
        check_length(self, data, size)
        out = np.empty(min(size, length), np.float32)
        for start in range(0, size, length):
            window = out[: min(length, size - start)]
            self.read(data[self.width * start : self.width * (start + window.size)], window)
            check_decoded(window)
            yield window


class Fp32(Plain):
    """Four bytes per value, little-endian; exact."""

    width = 4

    def write(self, values: FloatArray) -> bytes:
        return values.astype("<f4", copy=False).tobytes()

    def read(self, data: memoryview, out: FloatArray) -> None:
        np.copyto(out, np.frombuffer(data, "<f4"))


class Bf16(Plain):
    """Two bytes per value: relative error at most 2^-8 for normal numbers."""

    width = 2

    def write(self, values: FloatArray) -> bytes:
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        is_odd = (bits >> 16) & 1
        return ((bits + 0x7FFF + is_odd) >> 16).astype("<u2").tobytes()

    def read(self, data: memoryview, out: FloatArray) -> None:
        bits = out.view(np.uint32)
        np.copyto(bits, np.frombuffer(data, "<u2"))
        np.left_shift(bits, 16, out=bits)
