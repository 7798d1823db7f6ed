"""Norms of updates whose values pass by, on their way to a merge or to nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from concord.base.errors import InternalError, RefusalReason, UpdateRefused
from concord.base.tensors import FloatArray
from concord.update.layout import Entry, Layout, Role
from concord.update.sums import SquareSums, tree_sum


@dataclass(frozen=True)
class UpdateNorms:
    """L2 norms of an update, in units of the parameters."""

    total: float
    """Over all weights; state and counts are left out."""
    tensors: Mapping[str, float]
    """Of each weight."""
    state: Mapping[str, float] = field(default_factory=dict)
    """Of each tensor of inner state."""
    groups: Mapping[str, float] = field(default_factory=dict)
    """Over all body matrices, all embeddings, all vectors; those that the layout has."""


class Gauge:
    """Measures updates of one layout: each value once, those of a tensor in order.

    Args:
        layout: What the updates consist of.
        members: How many there are.
    """

    def __init__(self, layout: Layout, members: int) -> None:
        self._layout = layout
        self._members = members
        self._seen = dict.fromkeys(layout.by_name, 0)
        self._squares = SquareSums()

    def take(self, entry: Entry, first: int, values_MN: FloatArray) -> None:
        """Measure or check the next window of a tensor, of the updates from `first` on.

        Raises:
            UpdateRefused: MALFORMED: it is negative where that is impossible.
        """
        self._seen[entry.name] += values_MN.size
        if entry.role is not Role.COUNTS:
            keys = [(first + number, entry.name) for number in range(len(values_MN))]
            self._squares.add(keys, values_MN)
        if entry.is_never_negative and (values_MN < 0).any():
            what = "token count" if entry.role is Role.COUNTS else "second moment"
            raise UpdateRefused(
                RefusalReason.MALFORMED, f"holds a negative {what}", where=entry.name
            )

    def norms(self, number: int) -> UpdateNorms:
        """What was measured of an update.

        Raises:
            InternalError: not every value of every update was seen once.
        """
        if any(self._seen[e.name] != self._members * e.spec.size for e in self._layout):
            raise InternalError("an update was not measured as a whole")
        found = {
            entry.name: self._squares.norm((number, entry.name))
            for entry in self._layout
            if entry.role is not Role.COUNTS
        }
        weights = {e.name: found[e.name] for e in self._layout if e.is_weight}
        return UpdateNorms(
            total=_joint(weights.values()),
            tensors=weights,
            state={e.name: found[e.name] for e in self._layout if e.role is Role.STATE},
            groups={
                str(role): _joint(found[name] for name in names)
                for role, names in self._groups.items()
            },
        )

    @cached_property
    def _groups(self) -> dict[Role, list[str]]:
        groups: dict[Role, list[str]] = {}
        for entry in self._layout:
            if entry.is_weight:
                groups.setdefault(entry.role, []).append(entry.name)
        return groups


def _joint(norms: Iterable[float]) -> float:
    """Norm of several tensors together, given those of each."""
    return float(np.sqrt(tree_sum(np.array([n * n for n in norms], np.float64))))
