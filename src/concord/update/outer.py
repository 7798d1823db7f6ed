"""The outer step: what the merged update does to the base.

    Nesterov   b <- mu b + g;   step = eta (g + mu b)          (mu = 0: step = eta g, no state)
    Adam       m <- b1 m + (1-b1) g;   v <- b2 v + (1-b2) g g
               step = eta m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps)

    base <- base - decoded(step)

g is the merged pseudo-gradient ("descent" sign: it is subtracted). Elementwise float32, one
operation at a time in the order written, so every machine gets the same bits. Neither clips.

Source: Douillard et al. 2023 (DiLoCo, arXiv 2311.08105); Kingma and Ba 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from concord.base.errors import DocumentError
from concord.base.tensors import FloatArray, TensorSpec

WINDOW = 1 << 16
State = Mapping[str, FloatArray]


@dataclass(frozen=True)
class OuterRule:
    """The outer optimiser and its constants.

    Raises:
        DocumentError: a decay is not in [0, 1), or epsilon is not above 0.
    """

    optimizer: Literal["nesterov", "adam"] = "nesterov"
    momentum: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        if not all(0 <= decay < 1 for decay in (self.momentum, self.beta1, self.beta2)):
            raise DocumentError("outer momentum and betas must be in [0, 1)")
        if not self.epsilon > 0:
            raise DocumentError("outer epsilon must be above 0")

    def state_specs(self, spec: TensorSpec) -> list[TensorSpec]:
        """What is kept of a tensor between rounds: kind as name, shape; sorted."""
        if self.optimizer == "adam":
            return [
                TensorSpec("first_moment", spec.shape),
                TensorSpec("second_moment", spec.shape),
                TensorSpec("steps", ()),
            ]
        return [TensorSpec("momentum", spec.shape)] if self.momentum else []


def outer_step(
    rule: OuterRule,
    merged: FloatArray,
    state: State,
    *,
    rate: float,
    out: FloatArray | None = None,
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """The step of one tensor, and its state afterwards.

    Args:
        rule: The optimiser.
        merged: Merged pseudo-gradient.
        state: As returned before; empty in the first round.
        rate: Outer learning rate of this round, rounded to float32.
        out: Where the step may be put; `merged` itself, if it is not needed any more.

    Returns:
        The step to subtract from the base, and the new state: new arrays, nothing but `out` is
        overwritten.
    """
    if rule.optimizer == "adam":
        return _adam(rule, merged, state, np.float32(rate))
    step = np.empty_like(merged) if out is None else out
    if not rule.momentum:
        return np.multiply(merged, np.float32(rate), out=step), {}
    buffer = np.empty_like(merged)
    _nesterov(
        merged.reshape(-1),
        state.get("momentum", np.zeros((), np.float32)).reshape(-1),
        (np.float32(rule.momentum), np.float32(rate)),
        buffer.reshape(-1),
        step.reshape(-1),
    )
    return step, {"momentum": buffer}


def _nesterov(
    merged_D: FloatArray,
    old_D: FloatArray,
    constants: tuple[np.float32, np.float32],
    buffer_D: FloatArray,
    step_D: FloatArray,
) -> None:
    """Write momentum and step, a window at a time: all of it stays in the second-level cache."""
    momentum, rate = constants
    scratch = np.empty(min(merged_D.size, WINDOW), np.float32)
    for start in range(0, merged_D.size, WINDOW):
        window = slice(start, start + WINDOW)
        merged, buffer, step = merged_D[window], buffer_D[window], step_D[window]
        old = old_D[window] if old_D.size == merged_D.size else old_D
        carried = scratch[: merged.size]
        np.multiply(old, momentum, out=buffer)
        np.add(buffer, merged, out=buffer)
        np.multiply(buffer, momentum, out=carried)
        np.add(merged, carried, out=step)
        np.multiply(step, rate, out=step)


def _adam(
    rule: OuterRule, merged: FloatArray, state: State, rate: np.float32
) -> tuple[FloatArray, dict[str, FloatArray]]:
    zeros = np.zeros_like(merged)
    beta1, beta2 = np.float32(rule.beta1), np.float32(rule.beta2)
    rest1, rest2 = np.float32(1 - rule.beta1), np.float32(1 - rule.beta2)
    first = state.get("first_moment", zeros) * beta1 + merged * rest1
    second = state.get("second_moment", zeros) * beta2 + merged * merged * rest2
    steps = int(state.get("steps", np.zeros((), np.float32))) + 1
    unbiased1 = first / np.float32(1 - _power(rule.beta1, steps))
    unbiased2 = second / np.float32(1 - _power(rule.beta2, steps))
    divisor = np.sqrt(unbiased2).astype(np.float32, copy=False) + np.float32(rule.epsilon)
    step = unbiased1 / divisor * rate
    new_state = {"first_moment": first, "second_moment": second}
    return step, {**new_state, "steps": np.full((), steps, np.float32)}


def _power(base: float, exponent: int) -> float:
    """base^exponent by repeated multiplication: libm's pow differs between machines."""
    result = 1.0
    for _ in range(exponent):
        result *= base
    return result
