"""Which part of the inner optimiser's state travels with the update, and in what form.

A view turns the state of one member into the tensors it sends, and the mean of what all sent back
into state. Whatever a view sends is averaged by plain sums, so it also works masked. A cheaper form
(one value per row, factors) is one more view: `specs`, `pack`, `unpack` are all it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from concord.base.tensors import FloatArray, TensorSpec
from concord.train.optimizers import STATE_KINDS, InnerOptimizer

SECOND_MOMENT = "second_moment/"
SECOND_MOMENT_ROWS = "second_moment/rows/"


class StateView(Protocol):
    """A form in which state travels; pure functions of arrays."""

    def specs(self, state: Sequence[TensorSpec]) -> list[TensorSpec]:
        """What travels, given the specs of the whole state."""

    def pack(self, state: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """What one member sends, given its state tensors named in `specs`' sources."""

    def unpack(
        self, mean: Mapping[str, FloatArray], own: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """State to continue from, given the mean over members and the member's own state."""


@dataclass(frozen=True)
class WholeTensors:
    """State tensors of some kinds travel as they are."""

    kinds: tuple[str, ...]

    def specs(self, state: Sequence[TensorSpec]) -> list[TensorSpec]:
        return sorted(spec for spec in state if spec.name.partition("/")[0] in self.kinds)

    def pack(self, state: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        return {name: a for name, a in state.items() if name.partition("/")[0] in self.kinds}

    def unpack(
        self, mean: Mapping[str, FloatArray], own: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        return {
            name: positive_or_own(array, own[name]) if name.startswith(SECOND_MOMENT) else array
            for name, array in mean.items()
        }


@dataclass(frozen=True)
class RowMeans:
    """The second moment travels as its mean over each row: one number per row of a matrix.

    A row of an embedding is one token; what members have to agree on is which tokens are frequent.
    Costs 1 / width of the whole tensor.
    """

    def specs(self, state: Sequence[TensorSpec]) -> list[TensorSpec]:
        return sorted(
            TensorSpec(SECOND_MOMENT_ROWS + spec.name.removeprefix(SECOND_MOMENT), spec.shape[:1])
            for spec in state
            if spec.name.startswith(SECOND_MOMENT)
        )

    def pack(self, state: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        return {
            SECOND_MOMENT_ROWS + name.removeprefix(SECOND_MOMENT): _row_means(array)
            for name, array in state.items()
            if name.startswith(SECOND_MOMENT)
        }

    def unpack(
        self, mean: Mapping[str, FloatArray], own: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        state = {}
        for name, mean_R in mean.items():
            source = SECOND_MOMENT + name.removeprefix(SECOND_MOMENT_ROWS)
            rows = mean_R.reshape(mean_R.shape + (1,) * (own[source].ndim - 1))
            state[source] = positive_or_own(np.broadcast_to(rows, own[source].shape), own[source])
        return state


def _row_means(array: FloatArray) -> FloatArray:
    """[R, …] -> [R]; a vector is its own rows."""
    return array if array.ndim < 2 else array.reshape(len(array), -1).mean(1, dtype=np.float32)


def positive_or_own(mean: FloatArray, own: FloatArray) -> FloatArray:
    """Keep one's own second moment where a codec rounded it to zero: a step divides by its root."""
    return np.where(mean > 0, mean, own)


VIEWS: Mapping[str, StateView] = {
    "local": WholeTensors(()),
    "averaged": WholeTensors(tuple(STATE_KINDS)),
    "second_moment": WholeTensors(("second_moment",)),
    "second_moment_rows": RowMeans(),
}


class SharedState:
    """The travelling state of one optimiser, by the mode of the run document."""

    def __init__(self, optimizer: InnerOptimizer, mode: str) -> None:
        self._optimizer = optimizer
        self._view = VIEWS[mode]

    def specs(self) -> list[TensorSpec]:
        """Name and shape of every tensor that travels, sorted."""
        return self._view.specs(self._optimizer.state_specs())

    def read(self) -> dict[str, FloatArray]:
        """What this member sends."""
        return self._view.pack(self._optimizer.read_state())

    def load(self, mean: Mapping[str, FloatArray]) -> None:
        """Continue from the mean over members.

        Raises:
            CheckpointError: a tensor does not belong to this optimiser or holds impossible values.
        """
        self._optimizer.load_state(self._view.unpack(mean, self._optimizer.read_state()))
