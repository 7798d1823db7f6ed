"""The inner optimiser: AdamW for everything, or Muon for body matrices and AdamW for the rest.

Rates follow the *global* step, so that a member which missed rounds runs the others' rate; the bias
correction of AdamW follows it too, so that moments averaged over members, or started afresh late in
a run, need no step counter of their own. A fresh moment then starts small, and so do its steps.

The state is a set of named float32 tensors:

    momentum/<tensor>         Muon's buffer, an average of gradients
    first_moment/<tensor>     AdamW's m
    second_moment/<tensor>    AdamW's v, never negative
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from concord.base.errors import CheckpointError
from concord.base.roles import WeightRole
from concord.base.tensors import FloatArray, TensorFile, TensorSpec
from concord.charter.run_sections import InnerSpec
from concord.model.tensors import copy_array, roles, to_array
from concord.train.muon import StackedMuon

ADAM_EPSILON = 1e-8
STATE_KINDS = {
    "momentum": "momentum_buffer",
    "first_moment": "exp_avg",
    "second_moment": "exp_avg_sq",
}


class InnerOptimizer:
    """The optimisers of one network, stepped together."""

    def __init__(self, model: nn.Module, inner: InnerSpec) -> None:
        self.inner = inner
        self._parameters = dict(sorted(model.named_parameters()))
        groups = _groups(self._parameters, roles(model), inner)
        adam = [
            {"params": list(group.values()), "weight_decay": decay}
            for group, decay in groups["adamw"]
            if group
        ]
        self._parts: list[tuple[torch.optim.Optimizer, float]] = []
        if adam:
            self._parts.append((_adamw(adam, inner), inner.lr))
        if groups["muon"]:
            self._parts.append((_muon(groups["muon"][0][0], inner), inner.matrix_lr))

    def step(self, step: int, *, rate_factor: float) -> None:
        """Apply the gradients at the 0-based global `step`, at `rate_factor` times the peak."""
        for optimizer, peak in self._parts:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate_factor
            for state in optimizer.state.values():
                if "step" in state:
                    state["step"].fill_(step)
            optimizer.step()

    def zero_grad(self) -> None:
        for optimizer, _ in self._parts:
            optimizer.zero_grad(set_to_none=True)

    def state_specs(self) -> list[TensorSpec]:
        """Name and shape of every state tensor, sorted."""
        return sorted(TensorSpec(name, tuple(tensor.shape)) for name, tensor in self.states())

    def read_state(self) -> dict[str, FloatArray]:
        """Copies of all state tensors, sorted by name."""
        found = sorted(self.states(), key=lambda pair: pair[0])
        return {name: to_array(tensor) for name, tensor in found}

    def load_state(self, tensors: TensorFile | Mapping[str, FloatArray]) -> None:
        """Replace the state tensors that are given; others stay as they are.

        Raises:
            CheckpointError: a tensor is unknown, of another shape, or a second moment is negative
                or not finite; nothing was changed.
        """
        states = dict(self.states())
        given = (
            [spec.name for spec in tensors.specs] if isinstance(tensors, TensorFile) else tensors
        )
        for name in given:
            _check_state(name, tensors[name], states.get(name))
        for name in sorted(given):
            copy_array(states[name], tensors[name])

    def reset(self) -> None:
        """Forget the state, as a newcomer starts."""
        for _, tensor in self.states():
            tensor.zero_()

    def states(self) -> Iterator[tuple[str, Tensor]]:
        """Each state tensor itself with its name, in no particular order."""
        for name, parameter in self._parameters.items():
            for optimizer, _ in self._parts:
                state = optimizer.state.get(parameter, {})
                for kind, key in STATE_KINDS.items():
                    if key in state:
                        yield f"{kind}/{name}", state[key]


def _groups(
    parameters: dict[str, nn.Parameter], role: Mapping[str, WeightRole], inner: InnerSpec
) -> dict[str, list[tuple[dict[str, nn.Parameter], float]]]:
    """Weight decay is for matrices: norms and biases would be pulled to zero by it."""
    chosen = {name: p for name, p in parameters.items() if p.requires_grad}
    body = {name: p for name, p in chosen.items() if role[name] == "body"}
    embedding = {name: p for name, p in chosen.items() if role[name] == "embedding"}
    vector = {name: p for name, p in chosen.items() if role[name] == "vector"}
    if inner.optimizer == "adamw":
        embedding, body = embedding | body, {}
    return {
        "adamw": [(embedding, inner.weight_decay), (vector, 0.0)],
        "muon": [(body, inner.weight_decay)] if body else [],
    }


def _adamw(groups: list[dict[str, Any]], inner: InnerSpec) -> torch.optim.AdamW:
    optimizer = torch.optim.AdamW(
        groups, lr=inner.lr, betas=(inner.beta1, inner.beta2), eps=ADAM_EPSILON, fused=True
    )
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
    return optimizer


def _muon(body: dict[str, nn.Parameter], inner: InnerSpec) -> StackedMuon:
    return StackedMuon(
        body.values(),
        lr=inner.matrix_lr,
        weight_decay=inner.weight_decay,
        momentum=inner.momentum,
    )


def _check_state(name: str, array: FloatArray, state: Tensor | None) -> None:
    if state is None or tuple(state.shape) != array.shape:
        raise CheckpointError(
            f"optimiser state {name[:120]} does not belong to this network and optimiser",
            remedy="resume with the run document the state was made with",
        )
    lowest = 0.0 if name.startswith("second_moment/") else -np.inf
    if not (np.isfinite(array).all() and (array >= lowest).all()):
        raise CheckpointError(
            f"optimiser state {name[:120]} holds an impossible value",
            remedy="resume from an earlier round",
        )
