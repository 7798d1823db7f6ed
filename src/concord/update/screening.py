"""Whether one update may enter the merge. It is refused with a reason; the round goes on.

Pure: what is expected and what was accepted before come in, norms go out.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from concord.base.digest import Digest
from concord.base.errors import DocumentError, InternalError, RefusalReason, UpdateRefused
from concord.base.tensors import FloatArray
from concord.update.codecs import WINDOW
from concord.update.layout import Entry, Layout, Role
from concord.update.payload import UpdateFile, UpdateIdentity, check_identity
from concord.update.sums import SquareSums, tree_sum

REMEMBERED_ROUNDS = 5
"""Few, so that the bound follows a rate that decays within few rounds (assumption)."""
NEEDED_ROUNDS = 3
"""Rounds of warm-up before the bound holds (assumption)."""


@dataclass(frozen=True)
class UpdateNorms:
    """L2 norms of an update, in units of the parameters."""

    total: float
    """Over all weights; state and counts are left out."""
    tensors: Mapping[str, float]
    """Of each weight."""


@dataclass(frozen=True)
class NormHistory:
    """Median norm of the accepted updates of the last rounds, per unit of `norm_scale`."""

    medians: tuple[float, ...] = ()

    def extended(self, norms: Sequence[float], *, norm_scale: float) -> Self:
        """The history after a committed round with these accepted norms."""
        if not norms:
            return self
        median = statistics.median(norms) / norm_scale
        return type(self)((*self.medians, median)[-REMEMBERED_ROUNDS:])

    @property
    def median(self) -> float | None:
        """What norms are compared with; None before enough rounds."""
        if len(self.medians) < NEEDED_ROUNDS:
            return None
        return statistics.median(self.medians)

    def to_json(self) -> list[float]:
        return list(self.medians)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` wrote.

        Raises:
            DocumentError: it is not a short list of finite numbers.
        """
        if not isinstance(value, list | tuple) or len(value) > REMEMBERED_ROUNDS:
            raise DocumentError(f"is not a list of at most {REMEMBERED_ROUNDS} norms")
        if not all(type(n) in (int, float) and 0 <= n < float("inf") for n in value):
            raise DocumentError("holds something that is not a norm")
        return cls(tuple(float(n) for n in value))


@dataclass(frozen=True)
class NormBounds:
    """Allowed ratio of an update's norm to the running median."""

    min_ratio: float = 0.25
    max_ratio: float = 4.0


@dataclass(frozen=True)
class Expectation:
    """What an update of this round has to be."""

    run: Digest
    round: int
    base: Digest
    roster: Collection[str]
    max_tokens: int | None = None
    """Tokens that the round's plan lets a member train on: no more can be counted."""


def screen(
    update: UpdateFile,
    *,
    sender: str,
    expected: Expectation,
    accepted: Collection[str],
    history: NormHistory,
    bounds: NormBounds,
    norm_scale: float,
) -> UpdateNorms:
    """Check an update in full and measure it.

    0. Size, structure and layout: done by `UpdateFile`, before this.
    1. It comes from a member of the roster that has not sent one, and says so itself.
    2. It is for this run, this round and this base.
    3. Every value of every tensor decodes, is finite, and is not negative where that is impossible.
    4. Its counted tokens are no more than were agreed.
    5. Its norm lies within `bounds` of the running median, once there is one.

    Args:
        update: The opened update.
        sender: Member whose connection it came over.
        expected: What it has to be.
        accepted: Members already accepted in this round.
        history: Norms of the rounds before.
        bounds: Allowed ratios.
        norm_scale: What the schedule says norms are proportional to in this round: the sum of its
            learning-rate factors. With 1.0 throughout, a decaying rate has honest updates refused.

    Raises:
        UpdateRefused: with the reason.
    """
    check_origin(update, sender=sender, expected=expected, accepted=accepted)
    norms = measure(update)
    if update.layout.counts is not None and expected.max_tokens is not None:
        _check_counts(update.decode(update.layout.counts.name), expected.max_tokens)
    check_norm(norms, history=history, bounds=bounds, norm_scale=norm_scale)
    return norms


def check_origin(
    update: UpdateFile, *, sender: str, expected: Expectation, accepted: Collection[str]
) -> None:
    """Steps 1 and 2 of `screen`.

    Raises:
        UpdateRefused: with the reason.
    """
    _check_sender(sender, expected.roster, accepted)
    wanted = UpdateIdentity(expected.run, expected.round, expected.base, sender)
    check_identity(update.identity, wanted)


def measure(update: UpdateFile) -> UpdateNorms:
    """Decode all of an update and return its norms.

    Raises:
        UpdateRefused: MALFORMED or NON_FINITE.
    """
    gauge = Gauge(update.layout)
    for entry in update.layout:
        for window in update.windows(entry.name):
            gauge.take(entry, window)
    return gauge.norms()


class Gauge:
    """Measures an update whose windows pass by, each of them once and those of a tensor in order.

    Args:
        layout: What the update consists of.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seen = dict.fromkeys(layout.by_name, 0)
        self._squares = SquareSums()

    def take(self, entry: Entry, window: FloatArray) -> None:
        """Measure or check the next window of a tensor.

        Raises:
            UpdateRefused: MALFORMED: it is negative where that is impossible.
        """
        self._seen[entry.name] += window.size
        if entry.is_weight:
            self._squares.add(entry.name, window)
        else:
            _check_sign(window, entry)

    def norms(self) -> UpdateNorms:
        """What was measured.

        Raises:
            InternalError: not every value was seen once.
        """
        if any(self._seen[entry.name] != entry.spec.size for entry in self._layout):
            raise InternalError("an update was not measured as a whole")
        found = self._squares.norms()
        tensors = {e.name: found.get(e.name, 0.0) for e in self._layout if e.is_weight}
        squares = np.array([n * n for n in tensors.values()], np.float64)
        return UpdateNorms(total=float(np.sqrt(tree_sum(squares))), tensors=tensors)


class GaugedUpdate(UpdateFile):
    """An update that is measured while it is decoded for another purpose: once, not twice."""

    def __init__(self, source: Path, layout: Layout) -> None:
        super().__init__(source, layout)
        self._gauge = Gauge(layout)

    def windows(self, name: str, length: int = WINDOW) -> Iterator[FloatArray]:
        """As of any update. Norms are sums over windows of `WINDOW`: ask for no other length."""
        entry = self.layout.by_name[name]
        for window in super().windows(name, length):
            self._gauge.take(entry, window)
            yield window

    def norms(self) -> UpdateNorms:
        """Its norms, once every tensor was decoded.

        Raises:
            InternalError: one was not, or more than once.
        """
        return self._gauge.norms()


def _check_sign(window: FloatArray, entry: Entry) -> None:
    if entry.is_never_negative and (window < 0).any():
        what = "token count" if entry.role is Role.COUNTS else "second moment"
        raise UpdateRefused(RefusalReason.MALFORMED, f"holds a negative {what}", where=entry.name)


def _check_counts(counts_V: FloatArray, max_tokens: int) -> None:
    if tree_sum(counts_V.astype(np.float64)) > max_tokens:
        raise UpdateRefused(
            RefusalReason.TOO_LARGE, f"counts more than the {max_tokens:,} tokens agreed"
        )


def _check_sender(sender: str, roster: Collection[str], accepted: Collection[str]) -> None:
    if sender not in roster:
        raise UpdateRefused(RefusalReason.NOT_IN_ROSTER, "comes from nobody in the roster")
    if sender in accepted:
        raise UpdateRefused(RefusalReason.DUPLICATE, "was already accepted in this round")


def check_norm(
    norms: UpdateNorms, *, history: NormHistory, bounds: NormBounds, norm_scale: float
) -> None:
    """Step 5 of `screen`.

    Raises:
        UpdateRefused: NORM_OUT_OF_BOUNDS.
    """
    scaled_norm, median = norms.total / norm_scale, history.median
    if median is None:
        return
    least, most = bounds.min_ratio * median, bounds.max_ratio * median
    if not least <= scaled_norm <= most:
        raise UpdateRefused(
            RefusalReason.NORM_OUT_OF_BOUNDS,
            f"norm is {scaled_norm:.3g}, allowed are {least:.3g} to {most:.3g} (per unit of rate)",
        )
