"""Sums in float64 with one shape on every machine.

`np.sum` and BLAS add in an order that depends on vector width and library version. Here a window
of values, filled with zeros up to a power of two, is halved by elementwise addition until one value
is left; windows are added in order. Every addition is one IEEE 754 operation, so all machines that
follow the standard get the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

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
        squares.add("", window)
    return squares.norms().get("", 0.0)


class SquareSums:
    """L2 norms of tensors whose windows pass one by one; squares of float32 are exact here.

    A window's squares are halved as `tree_sum` does it, and the sums of a tensor's windows added in
    order. The last halvings are done for several windows at once, of one tensor or of many.
    """

    def __init__(self) -> None:
        self._totals: dict[str, float] = {}
        self._wide = np.empty(0, np.float64)
        self._rows_BR = np.empty((_ROWS, _ROW), np.float64)
        self._names: list[str] = []

    def add(self, name: str, window: FloatArray) -> None:
        """Take the next window of a tensor."""
        row = self._rows_BR[len(self._names)]
        count = max(1 << max(window.size - 1, 0).bit_length(), _ROW)
        if self._wide.size < count:
            self._wide = np.empty(count, np.float64)
        values = self._wide[:count] if count > _ROW else row
        np.copyto(values[: window.size], window)
        values[window.size :] = 0.0
        np.multiply(values, values, out=values)
        while count > _ROW:
            count //= 2
            into = values[:count] if count > _ROW else row
            np.add(values[:count], values[count : 2 * count], out=into)
        self._names.append(name)
        if len(self._names) == _ROWS:
            self._flush()

    def norms(self) -> dict[str, float]:
        """Of every tensor that had a window."""
        self._flush()
        return {name: math.sqrt(total) for name, total in self._totals.items()}

    def _flush(self) -> None:
        rows_BR, count = self._rows_BR[: len(self._names)], _ROW
        while count > 1:
            count //= 2
            np.add(rows_BR[:, :count], rows_BR[:, count : 2 * count], out=rows_BR[:, :count])
        for name, value in zip(self._names, rows_BR[:, 0].tolist(), strict=True):
            self._totals[name] = self._totals.get(name, 0.0) + value
        self._names.clear()


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
