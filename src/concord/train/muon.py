"""Muon as in `torch.optim`, with all matrices of one shape orthogonalised together.

    B ← μ·B + (1−μ)·g        momentum, as an average
    G = (1−μ)·g + μ·B        Nesterov
    X = G / ‖G‖, then 5 times  X ← aX + b(XXᵀ)X + c(XXᵀ)²X
    W ← (1 − lr·decay)·W − lr·0.2·√max(rows, cols)·X

X does not depend on the scale of G, so averaging instead of summing the momentum changes nothing
(training.md 2.13 sums). One multiplication for a stack of matrices is measurably faster than one
per matrix (`docs/benchmarks/throughput.md`), and the same on any device.

With this scale a step is as large as AdamW's, so that one rate serves matrices of any shape.

Sources: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; the scale: Liu et al. 2025
[2502.16982], section 2.2.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import overload

import torch
from torch import Tensor

from concord.model.sharding import gather, is_sharded, slice_like
from concord.train.precision import gains_from_bfloat16

A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
EPSILON = 1e-7
SCALE = 0.2


def orthogonalise(stack: Tensor) -> Tensor:
    """Move the singular values of each matrix of a [n, rows, cols] stack to about 1.

    Computed in the precision of `stack`. Not exact: values end between about 0.7 and 1.2, which
    Muon does not mind.
    """
    tall = stack.size(-2) > stack.size(-1)
    x = stack.mT if tall else stack
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(EPSILON)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
        x = torch.baddbmm(x, polynomial, x, beta=A)
    return x.mT if tall else x


class StackedMuon(torch.optim.Muon):
    """`torch.optim.Muon` (Nesterov, scale `match_rms_adamw`) in fewer, larger multiplications.

    As there, matrices are orthogonalised in bfloat16, unless the device only emulates it.

    Sharded matrices are gathered, orthogonalised on every process and sliced again: the result is
    that of one process, at the cost of one gather per matrix and step.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        weight_decay: float,
        momentum: float,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; a closure is not supported."""
        assert closure is None
        group = self.param_groups[0]
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return None
        grads = [p.grad for p in params]
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
        updates = torch._foreach_lerp(grads, buffers, group["momentum"])
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        for same_shape in _by_shape(params):
            directions = self._directions([updates[index] for index in same_shape])
            members = [params[index] for index in same_shape]
            rate = group["lr"] * SCALE * math.sqrt(max(members[0].shape))
            torch._foreach_add_(members, directions, alpha=-rate)
        return None

    def _directions(self, updates: list[Tensor]) -> list[Tensor]:
        fast = gains_from_bfloat16(updates[0].device)
        dtype = torch.bfloat16 if fast else torch.float32
        stack = torch.stack([gather(update).to(dtype) for update in updates])
        whole = orthogonalise(stack).float().unbind()
        if not is_sharded(updates[0]):
            return list(whole)
        return [slice_like(one, update) for one, update in zip(whole, updates, strict=True)]


def _by_shape(params: list[Tensor]) -> list[list[int]]:
    indices: dict[torch.Size, list[int]] = defaultdict(list)
    for index, parameter in enumerate(params):
        indices[parameter.shape].append(index)
    return list(indices.values())
