"""Which part of the inner optimiser's state travels with the update, and in what form.

A view turns the state of one member into the tensors it sends, and the mean of what all sent back
into state. Whatever a view sends is averaged by plain sums, so it also works masked. Another form
(factors, say) is one more view: `specs`, `pack`, `unpack` are all it needs.

Names of what travels are those of the state, and `second_moment/rows/<tensor>` for row means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from concord.base.errors import CheckpointError
from concord.base.tensors import FloatArray, TensorSpec
from concord.train.optimizers import STATE_KINDS, InnerOptimizer

FIRST_MOMENT = "first_moment/"
SECOND_MOMENT = "second_moment/"
ROWS = SECOND_MOMENT + "rows/"


class StateView(Protocol):
    """A form in which state travels; pure functions of arrays."""

    def specs(self, state: Sequence[TensorSpec]) -> list[TensorSpec]:
        """What travels, sorted by name, given the specs of the whole state."""

    def pack(self, state: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """What one member sends, given its whole state."""

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
        return with_positive_second_moments({**mean}, own)


class RowMeans:
    """One number per row: the mean of the second moment along it; of a vector, every value.

    A row of a vocabulary matrix is a token. All members divide a token's gradients by the same
    number, at the cost of one value per token: a member that never meets the token no longer turns
    its negligible gradients into full steps. After a round all values of a row are its mean.
    """

    def specs(self, state: Sequence[TensorSpec]) -> list[TensorSpec]:
        return sorted(
            TensorSpec(_travelling_name(spec.name, len(spec.shape)), spec.shape[:1])
            for spec in state
            if spec.name.startswith(SECOND_MOMENT)
        )

    def pack(self, state: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        rows = {
            _travelling_name(name, array.ndim): _row_means(array)
            for name, array in state.items()
            if name.startswith(SECOND_MOMENT)
        }
        return dict(sorted(rows.items()))

    def unpack(
        self, mean: Mapping[str, FloatArray], own: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        moments = {}
        for name, array in mean.items():
            if name.startswith(ROWS):
                whole = SECOND_MOMENT + name.removeprefix(ROWS)
                columns = (1,) * (own[whole].ndim - 1)
                moments[whole] = np.broadcast_to(array.reshape(-1, *columns), own[whole].shape)
            else:
                moments[name] = array
        return with_positive_second_moments(moments, own)


def _travelling_name(name: str, dimensions: int) -> str:
    return ROWS + name.removeprefix(SECOND_MOMENT) if dimensions > 1 else name


def _row_means(array: FloatArray) -> FloatArray:
    if array.ndim == 1:
        return array
    means = array.reshape(len(array), -1).mean(axis=1, dtype=np.float64)
    return np.asarray(means, dtype=np.float32)


def with_positive_second_moments(
    state: dict[str, FloatArray], own: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Where a second moment is zero, put the square of the first: the step stays below the rate.

    A codec may round a small second moment to zero while the first moment, which the step divides
    by its root, is not zero. Zero stays where both are.
    """
    for name, array in state.items():
        if name.startswith(SECOND_MOMENT):
            first_name = FIRST_MOMENT + name.removeprefix(SECOND_MOMENT)
            first = state[first_name] if first_name in state else own[first_name]
            state[name] = np.where(array > 0, array, first * first)
    return state


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
        """What this member sends, sorted by name."""
        return self._view.pack(self._optimizer.read_state())

    def load(self, mean: Mapping[str, FloatArray], *, only: Collection[str] | None = None) -> None:
        """Continue from the mean over members.

        Args:
            mean: Every tensor that travels.
            only: Names of those to take over; all others stay the member's own.

        Raises:
            CheckpointError: a tensor does not belong to this optimiser or holds impossible values.
        """
        expected = [(spec.name, spec.shape) for spec in self.specs()]
        if sorted((name, array.shape) for name, array in mean.items()) != expected:
            raise CheckpointError(
                "shared state does not belong to this network and optimiser",
                remedy="resume with the run document the base was made with",
            )
        taken = {name: array for name, array in mean.items() if only is None or name in only}
        if taken:
            self._optimizer.load_state(self._view.unpack(taken, self._optimizer.read_state()))
