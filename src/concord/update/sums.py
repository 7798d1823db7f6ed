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
    """L2 norm of values that come in windows of `codecs.WINDOW`; their squares are exact."""
    total = 0.0
    for window in windows:
        wide = window.astype(np.float64)
        total += tree_sum(np.multiply(wide, wide, out=wide))
    return math.sqrt(total)


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
