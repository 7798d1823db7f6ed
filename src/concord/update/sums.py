"""Sums in float64 with one shape on every machine.

`np.sum` and BLAS add in an order that depends on vector width and library version. Here a window
of values, filled with zeros up to a power of two, is halved by elementwise addition until one value
is left; windows are added in order. Every addition is one IEEE 754 operation, so all machines that
follow the standard get the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from concord.base.errors import InternalError
from concord.base.tensors import FloatArray

_ROW, _ROWS = 1024, 16
"""Values of a window, and windows, whose last halvings are done together."""


def tree_sum(values: NDArray[np.float64]) -> float:
    """Sum of a flat array by halving."""
    count = 1 << max(values.size - 1, 0).bit_length()
    if count != values.size:
        values = np.concatenate([values, np.zeros(count - values.size)])
    while count > 1:
        count //= 2
        values = values[:count] + values[count:]
    return float(values[0])


def norm(windows: Iterable[FloatArray]) -> float:
    """L2 norm of values that come in windows of `codecs.WINDOW`."""
    squares = SquareSums()
    for window in windows:
        squares.add([""], window.reshape(1, -1))
    return squares.norm("")


class SquareSums:
    """L2 norms of tensors whose windows pass by; squares of float32 are exact here.

    A window's squares are halved as `tree_sum` does it, and the sums of a tensor's windows added in
    order. The last halvings are done for several windows at once, of one tensor or of many.
    """

    def __init__(self) -> None:
        self._totals: dict[Hashable, float] = {}
        self._wide = np.empty(0, np.float64)
        self._rows_BR = np.empty((_ROWS, _ROW), np.float64)
        self._keys: list[Hashable] = []

    def add(self, keys: Sequence[Hashable], windows_MN: FloatArray) -> None:
        """Take the next window of each of some tensors, which the keys stand for."""
        if self._wide.size < windows_MN.size:
            self._wide = np.empty(windows_MN.size, np.float64)
        values_MN = self._wide[: windows_MN.size].reshape(windows_MN.shape)
        np.copyto(values_MN, windows_MN)
        np.multiply(values_MN, values_MN, out=values_MN)
        size = windows_MN.shape[1]
        count = 1 << max(size - 1, 0).bit_length()
        while count > _ROW:
            # Zeros that would fill the window up change no sum: squares are never -0.
            count //= 2
            if size > count:
                into = values_MN[:, : size - count]
                np.add(into, values_MN[:, count:size], out=into)
                size = count
        for start in range(0, len(keys), _ROWS):
            self._collect(keys[start : start + _ROWS], values_MN[start : start + _ROWS, :size])

    def _collect(self, keys: Sequence[Hashable], rows_MR: NDArray[np.float64]) -> None:
        if len(self._keys) + len(keys) > _ROWS:
            self._flush()
        filled, size = len(self._keys), rows_MR.shape[1]
        self._rows_BR[filled : filled + len(keys), :size] = rows_MR
        self._rows_BR[filled : filled + len(keys), size:] = 0.0
        self._keys += keys

    def norm(self, key: Hashable) -> float:
        """Of all windows so far; 0 if there was none."""
        if self._keys:
            self._flush()
        return math.sqrt(self._totals.get(key, 0.0))

    def _flush(self) -> None:
        rows_BR, count = self._rows_BR[: len(self._keys)], _ROW
        while count > 1:
            count //= 2
            np.add(rows_BR[:, :count], rows_BR[:, count : 2 * count], out=rows_BR[:, :count])
        for key, value in zip(self._keys, rows_BR[:, 0].tolist(), strict=True):
            self._totals[key] = self._totals.get(key, 0.0) + value
        self._keys.clear()


def require_ieee_arithmetic() -> None:
    """Refuse to compute where tiny numbers are flushed to zero.

    Some libraries switch the processor to that mode when they are loaded; results would then
    differ from other machines in their last bits.

    Raises:
        InternalError: this thread's arithmetic does not keep subnormal numbers.
    """
    tiny = np.full(4, 2.0**-140, np.float32)
    if not (tiny * np.float32(0.5) > 0).all():
        raise InternalError(
            "this process flushes subnormal numbers to zero",
            remedy="merge in a process that loads no library compiled with -ffast-math",
        )
