"""Measures of leakage as pure functions of scores and rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from concord.base.tensors import FloatArray

Scores = NDArray[np.float64]


def auc(inside: Scores, outside: Scores) -> float:
    """Chance that one inside scores above one outside, ties half: 0.5 tells nothing, 1 all.

    NaN where one side is empty. Source: Mann and Whitney 1947.
    """
    if not len(inside) or not len(outside):
        return float("nan")
    both = np.concatenate([inside, outside])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = ranks[inverse[: len(inside)]].sum() - len(inside) * (len(inside) + 1) / 2
    return float(above / (len(inside) * len(outside)))


def kept_share(rates: list[float], weight_decay: float) -> float:
    """What decay alone leaves of a weight after steps at these rates: Π (1 − rate·decay)."""
    return float(np.prod([1 - rate * weight_decay for rate in rates]))


def row_movement(update_VD: FloatArray, base_VD: FloatArray, kept: float) -> Scores:
    """[rows] How far each embedding row was moved, apart from what decay did to all of them.

        s_v = ‖ (base − own)_v − (1 − kept)·base_v ‖

    Args:
        update_VD: Base minus own weights, as it is sent.
        kept: See `kept_share`.
    """
    moved = update_VD.astype(np.float64) - (1 - kept) * base_VD
    movement: Scores = np.linalg.norm(moved, axis=1)
    return movement


def token_set_auc(movement_V: Scores, used_V: NDArray[np.bool_]) -> float:
    """How well the rows that moved most tell which tokens were in the text."""
    return auc(movement_V[used_V], movement_V[~used_V])


def rows_cosine(sum_VD: FloatArray, own_VD: FloatArray, rows_V: NDArray[np.bool_]) -> float:
    """Cosine between what everybody's sum and one's own update did to some rows, as one vector.

    1 means that these rows of the sum *are* the own update, whatever was done to hide it. NaN
    where there is no such row, or nothing moved.
    """
    ours = own_VD[rows_V].astype(np.float64).ravel()
    theirs = sum_VD[rows_V].astype(np.float64).ravel()
    norms = np.linalg.norm(ours) * np.linalg.norm(theirs)
    return float(ours @ theirs / norms) if norms > 0 else float("nan")
