"""fp32 as it is, and bf16: the upper half of a float32, rounded half to even."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from concord.base.tensors import FloatArray
from concord.update.codecs.interface import (
    WINDOW,
    Codec,
    check_decoded,
    check_encodable,
    check_length,
)


class Fp32(Codec):
    """Four bytes per value, little-endian; exact."""

    def least_bytes(self, size: int) -> int:
        return 4 * size

    most_bytes = least_bytes

    def encode(self, values_D: FloatArray) -> bytes:
        check_encodable(values_D)
        return values_D.astype("<f4").tobytes()

    def windows(self, data: memoryview, size: int, length: int = WINDOW) -> Iterator[FloatArray]:
        check_length(self, data, size)
        for start in range(0, size, length):
            part = np.frombuffer(data[4 * start : 4 * (start + length)], "<f4")
            window = part.astype(np.float32)
            check_decoded(window)
            yield window


class Bf16(Codec):
    """Two bytes per value: relative error at most 2^-8 for normal numbers."""

    def least_bytes(self, size: int) -> int:
        return 2 * size

    most_bytes = least_bytes

    def encode(self, values_D: FloatArray) -> bytes:
        check_encodable(values_D)
        bits = np.ascontiguousarray(values_D, np.float32).view(np.uint32)
        is_odd = (bits >> 16) & 1
        return ((bits + 0x7FFF + is_odd) >> 16).astype("<u2").tobytes()

    def windows(self, data: memoryview, size: int, length: int = WINDOW) -> Iterator[FloatArray]:
        check_length(self, data, size)
        for start in range(0, size, length):
            upper = np.frombuffer(data[2 * start : 2 * (start + length)], "<u2")
            window = (upper.astype(np.uint32) << 16).view(np.float32)
            check_decoded(window)
            yield window
