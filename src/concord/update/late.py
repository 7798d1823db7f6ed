"""An update that comes one round late, turned towards where the model has gone since.

With d one tensor of the update, m the outer momentum of that tensor in averaged form, c the cosine
between them and conf = |d| / (|d| + 3 |m| + 1e-8):

    c >= 0.2       d stays as it is
    c < 0          d - beta c |d| m/|m|,                beta = min(-c conf / 2, 1/2)
    otherwise      |d| u/|u|,  u = (1-lambda) d/|d| + lambda m/|m|,  lambda = min((1-c) conf, 1)

Without momentum, and where either is zero, d stays. Norms and the inner product are float64 sums of
one shape (`sums`), coefficients are rounded to float32 once, and each value takes the operations in
the order written: every machine gets the same bits.

The outer optimiser keeps b <- mu b + g; the averaged form is (1 - mu) b.

Source: HeLoCo, arXiv 2606.00271, with the constants as reported second-hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from concord.base.tensors import FloatArray
from concord.update.codecs import WINDOW
from concord.update.payload import UpdateFile
from concord.update.sums import norm, tree_sum

ALIGNED = 0.2
"""From this cosine on, an update goes the model's way."""
SMALLEST_MOMENTUM = 1e-12
"""Below this norm there is no direction (assumption)."""


def corrected(delta: FloatArray, momentum: FloatArray) -> FloatArray:
    """One tensor of a late update, turned.

    Args:
        delta: The tensor as it was sent, float32, finite.
        momentum: Outer momentum in averaged form, of the same shape.

    Returns:
        A new array, or `delta` itself where nothing is turned.
    """
    delta_D, momentum_D = delta.reshape(-1), momentum.reshape(-1)
    length, strength = _norm(delta_D), _norm(momentum_D)
    if strength < SMALLEST_MOMENTUM or length == 0:
        return delta
    cosine = _dot(delta_D, momentum_D) / (length * strength)
    if cosine >= ALIGNED:
        return delta
    confidence = length / (length + 3 * strength + 1e-8)
    if cosine < 0:
        beta = min(0.5 * -cosine * confidence, 0.5)
        return delta - momentum * np.float32(beta * cosine * length / strength)
    share = min((1 - cosine) * confidence, 1.0)
    turned = delta * np.float32((1 - share) / length) + momentum * np.float32(share / strength)
    return turned * np.float32(length / _norm(turned.reshape(-1)))


class CorrectedUpdate(UpdateFile):
    """A late update as it enters the merge: weights turned, all else as it was sent.

    Args:
        update: The update, screened.
        momentum: Averaged outer momentum of a weight; None where nothing is kept yet.
    """

    plain = False

    def __init__(self, update: UpdateFile, momentum: Callable[[str], FloatArray | None]) -> None:
        self.layout, self.identity = update.layout, update.identity
        self._data, self._parts = update._data, update._parts
        self._momentum = momentum

    def windows(self, name: str, length: int = WINDOW) -> Iterator[FloatArray]:
        """As of an update; the whole tensor is decoded to be turned."""
        entry = self.layout.by_name[name]
        momentum = self._momentum(name) if entry.is_weight else None
        if momentum is None:
            yield from super().windows(name, length)
            return
        delta_D = np.concatenate([part.copy() for part in super().windows(name, length)])
        turned_D = corrected(delta_D, momentum.reshape(-1))
        for start in range(0, turned_D.size, length):
            yield turned_D[start : start + length].copy()


def _norm(values_D: FloatArray) -> float:
    return norm(values_D[start : start + WINDOW] for start in range(0, values_D.size, WINDOW))


def _dot(left_D: FloatArray, right_D: FloatArray) -> float:
    parts = []
    for start in range(0, left_D.size, WINDOW):
        window = slice(start, start + WINDOW)
        parts.append(tree_sum(left_D[window].astype(np.float64) * right_D[window]))
    return math.fsum(parts)
