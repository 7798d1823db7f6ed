"""Error feedback: what a lossy codec left out of one update is added to the next.

    e <- beta e + delta;   send Q(e);   e <- e - Q(e)

It takes the place of outer momentum; a run has one or the other. The residual is derived from a
member's text: it stays with the member and is destroyed when the member leaves.

Source: Sarfi et al. 2025 (SparseLoCo, arXiv 2508.15706), equation of its algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from concord.base.errors import UpdateError
from concord.base.tensors import FloatArray

DEFAULT_BETA = 0.95  # SparseLoCo: 0.9 to 0.95


@dataclass(frozen=True)
class ErrorFeedback:
    """Residuals per tensor. A value: every change gives a new one, so a round can be undone."""

    residuals: Mapping[str, FloatArray] = field(default_factory=dict)
    beta: float = DEFAULT_BETA

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray], *, beta: float = DEFAULT_BETA) -> Self:
        """Residuals as they were saved; a tensor without one starts at zero."""
        return cls(dict(arrays), beta)

    def to_arrays(self) -> dict[str, FloatArray]:
        """Residuals to save."""
        return dict(self.residuals)

    def carried(self, name: str, delta: FloatArray) -> FloatArray:
        """What to encode: beta e + delta, a new array.

        Raises:
            UpdateError: the saved residual has another shape.
        """
        residual = self.residuals.get(name)
        if residual is None:
            return delta.astype(np.float32)
        if residual.shape != delta.shape:
            raise UpdateError("residual has another shape than the update", where=name)
        return residual * np.float32(self.beta) + delta

    def restored(self, decode: Callable[[str], FloatArray]) -> Self:
        """Residuals after an update was refused or lost: what it carried is put back.

        Args:
            decode: `UpdateFile.decode` of the update that was not used.
        """
        put_back = {name: array + decode(name) for name, array in self.residuals.items()}
        return type(self)(put_back, self.beta)
