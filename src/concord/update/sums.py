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
    """L2 norm of values that come in windows of `codecs.WINDOW`; their squares are exact.

    Each window's squares are halved as `tree_sum` does it, the last halvings of several windows
    together; the windows' sums are then added in order.
    """
    wide = np.empty(0, np.float64)
    rows_BR = np.empty((_ROWS, _ROW), np.float64)
    total, filled = 0.0, 0
    for window in windows:
        count = max(1 << max(window.size - 1, 0).bit_length(), _ROW)
        if wide.size < count:
            wide = np.empty(count, np.float64)
        values = wide[:count]
        np.copyto(values[: window.size], window)
        values[window.size :] = 0.0
        np.multiply(values, values, out=values)
        while count > _ROW:
            count //= 2
            np.add(values[:count], values[count : 2 * count], out=values[:count])
        rows_BR[filled] = values[:_ROW]
        filled += 1
        if filled == _ROWS:
            total, filled = _plus_rows(total, rows_BR), 0
    return math.sqrt(_plus_rows(total, rows_BR[:filled]))


def _plus_rows(total: float, rows_BR: NDArray[np.float64]) -> float:
    """Total plus the sum of each row by halving; the rows are overwritten."""
    count = rows_BR.shape[1]
    while count > 1:
        count //= 2
        np.add(rows_BR[:, :count], rows_BR[:, count : 2 * count], out=rows_BR[:, :count])
    for value in rows_BR[:, 0].tolist():
        total += value
    return total


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
