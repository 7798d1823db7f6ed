"""Measures of gates as pure functions of sums and scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
PLACES = 6
"""Numbers are rounded to so many places before they are signed."""
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class DocumentSums:
    """[documents] Nats and bytes of each held-out document."""

    nats: Scores
    bytes: Scores

    @property
    def bits_per_byte(self) -> float:
        return float(self.nats.sum() / math.log(2) / self.bytes.sum())


@dataclass(frozen=True)
class Bounded:
    """A number, and the one-sided bound that is held against a limit."""

    value: float
    bound: float


def bits_bound(
    model: DocumentSums,
    other: DocumentSums | None,
    *,
    confidence: float,
    upper: bool,
    seed: int,
) -> Bounded:
    """Bits per byte, or by how much they are above another model's on the same documents.

    Documents are drawn again with replacement; the bound is a quantile of what comes (percentile
    bootstrap: Efron and Tibshirani 1993, chapter 13).

    Args:
        upper: The bound that the truth is below, with this confidence; else the one it is above.
    """
    draw = np.random.default_rng(seed)
    count = len(model.nats)
    nats = model.nats if other is None else model.nats - other.nats
    picks = draw.integers(0, count, (RESAMPLES, count))
    sums = nats[picks].sum(1) / math.log(2) / model.bytes[picks].sum(1)
    value = float(nats.sum() / math.log(2) / model.bytes.sum())
    bound = float(np.quantile(sums, confidence if upper else 1 - confidence))
    return Bounded(rounded(value), rounded(bound))


def true_positive_rate(inside: Scores, outside: Scores, *, false_positives: float) -> float:
    """Share of those inside that score above all but this share of those outside; ties against.

    Source: Carlini et al. 2022, "Membership inference attacks from first principles".
    """
    if not len(inside) or not len(outside):
        return math.nan
    allowed = int(false_positives * len(outside))
    threshold = np.sort(outside)[::-1][allowed]
    return float((inside > threshold).mean())


def preference(first_nats: Sequence[float], second_nats: Sequence[float]) -> float:
    """Share of pairs in which the first is likelier; ties count half."""
    first, second = np.asarray(first_nats), np.asarray(second_nats)
    return float(((first < second) + 0.5 * (first == second)).mean())


def rounded(value: float) -> float:
    """A number as it is signed; zero has no sign."""
    return round(float(value), PLACES) + 0.0
