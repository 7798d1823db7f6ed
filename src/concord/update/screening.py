"""Whether one update may enter the merge. It is refused with a reason; the round goes on.

Pure: what is expected and what was accepted before come in, norms go out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from concord.base.digest import Digest
from concord.base.errors import DocumentError, RefusalReason, UpdateRefused
from concord.base.tensors import FloatArray
from concord.update.gauge import UpdateNorms
from concord.update.payload import UpdateFile, UpdateIdentity, check_identity
from concord.update.stack import measure
from concord.update.sums import tree_sum

REMEMBERED_ROUNDS = 5
"""Few, so that the bound follows a rate that decays within few rounds (assumption)."""
NEEDED_ROUNDS = 3
"""Rounds of warm-up before the bound holds (assumption)."""


TOTAL = "total"
"""Over all weights; beside it a history names groups of tensors."""
FRAGMENT_SEPARATOR = "/"
"""In a record, between the number of a fragment and what is measured of it."""


@dataclass(frozen=True)
class NormHistory:
    """Median norm of the accepted updates of the last rounds, per unit of `norm_scale`."""

    medians: tuple[float, ...] = ()
    groups: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The same of each group of tensors, with the lower of the middle two as the median."""
    fragments: Mapping[int, NormHistory] = field(default_factory=dict)
    """Where a model is sent in parts, the history of each; then there is nothing above."""

    def of(self, fragment: int | None) -> NormHistory:
        """The history of a fragment; of the whole, where there are none."""
        return self if fragment is None else self.fragments.get(fragment, NormHistory())

    def beside(self, fragment: int | None) -> float:
        """Squared norm that all other fragments usually have together, as far as it is known."""
        if fragment is None:
            return 0.0
        others = (one.median for number, one in self.fragments.items() if number != fragment)
        return math.fsum(median * median for median in others if median is not None)

    def with_history(self, fragment: int | None, history: NormHistory) -> NormHistory:
        """The same with another history of that fragment, or of the whole."""
        if fragment is None:
            return history
        return replace(self, fragments={**self.fragments, fragment: history})

    def extended(
        self,
        norms: Sequence[float],
        *,
        norm_scale: float,
        groups: Mapping[str, Sequence[float]] | None = None,
    ) -> Self:
        """The history after a committed round with these accepted norms."""
        if not norms:
            return self
        kept = dict(self.groups)
        for group, found in sorted((groups or {}).items()):
            kept[group] = _longer(kept.get(group, ()), statistics.median_low(found) / norm_scale)
        return type(self)(_longer(self.medians, statistics.median(norms) / norm_scale), kept)

    @property
    def median(self) -> float | None:
        """What norms are compared with; None before enough rounds."""
        return _running(self.medians)

    def group_median(self, group: str) -> float | None:
        """The same of a group of tensors."""
        return _running(self.groups.get(group, ()))

    def to_record(self) -> dict[str, tuple[float, ...]]:
        """As a round record keeps it; empty before the first round."""
        if self.fragments:
            histories = sorted(self.fragments.items())
            return {
                f"{number}{FRAGMENT_SEPARATOR}{name}": medians
                for number, history in histories
                for name, medians in history.to_record().items()
            }
        return {TOTAL: self.medians, **self.groups} if self.medians else {}

    @classmethod
    def from_record(cls, value: object) -> Self:
        """Read what `to_record` wrote.

        Raises:
            DocumentError: it is not made of short lists of finite numbers.
        """
        if not isinstance(value, Mapping) or not all(type(key) is str for key in value):
            raise DocumentError("is not a history of norms")
        read: dict[int | None, dict[str, tuple[float, ...]]] = {}
        for name, found in value.items():
            number, separator, group = name.rpartition(FRAGMENT_SEPARATOR)
            if separator and not (number.isdecimal() and number.isascii()):
                raise DocumentError("is not a history of norms")
            read.setdefault(int(number) if separator else None, {})[group] = _norms(found)
        whole = read.pop(None, {})
        fragments = {
            n: cls(groups.pop(TOTAL, ()), groups) for n, groups in read.items() if n is not None
        }
        return cls(whole.pop(TOTAL, ()), whole, fragments)


def _longer(medians: tuple[float, ...], latest: float) -> tuple[float, ...]:
    return (*medians, latest)[-REMEMBERED_ROUNDS:]


def _running(medians: tuple[float, ...]) -> float | None:
    return statistics.median(medians) if len(medians) >= NEEDED_ROUNDS else None


def _norms(value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) > REMEMBERED_ROUNDS:
        raise DocumentError(f"is not a list of at most {REMEMBERED_ROUNDS} norms")
    if not all(type(n) in (int, float) and 0 <= n < float("inf") for n in value):
        raise DocumentError("holds something that is not a norm")
    return tuple(float(n) for n in value)


@dataclass(frozen=True)
class NormBounds:
    """Allowed ratio of an update's norm to the running median."""

    min_ratio: float = 0.25
    max_ratio: float = 4.0
    beside: float = 0.0
    """Where a model is sent in parts: squared norm that updates of the other parts usually have,
    per unit of `norm_scale`. A part is judged as if they went with it, since an embedding by itself
    is far less steady than a whole model."""

    def around(self, median: float) -> tuple[float, float]:
        """Least and largest norm where this is the usual one."""
        if not self.beside:
            return self.min_ratio * median, self.max_ratio * median
        whole = median * median + self.beside
        squares = (
            ratio * ratio * whole - self.beside for ratio in (self.min_ratio, self.max_ratio)
        )
        least, most = (math.sqrt(max(0.0, square)) for square in squares)
        return least, most


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
    least, most = bounds.around(median)
    if not least <= scaled_norm <= most:
        raise UpdateRefused(
            RefusalReason.NORM_OUT_OF_BOUNDS,
            f"norm is {scaled_norm:.3g}, allowed are {least:.3g} to {most:.3g} (per unit of rate)",
        )
