"""Schedules that follow from the run document: pure functions of round and global step.

The index is the *global* step: a member that missed rounds runs the same rate as the others.
"""

from __future__ import annotations

import math
from fractions import Fraction

from concord.charter.run import RunDocument
from concord.charter.run_sections import InnerSpec, RoundsSpec


def inner_steps(rounds: RoundsSpec, round_: int) -> int:
    """Inner steps of a round (0-based), growing linearly where the document says so."""
    if rounds.first_inner_steps is None or rounds.count == 1:
        return rounds.inner_steps
    span = rounds.inner_steps - rounds.first_inner_steps
    return rounds.first_inner_steps + round(Fraction(span * round_, rounds.count - 1))


def first_step(rounds: RoundsSpec, round_: int) -> int:
    """Global step at which a round begins."""
    if rounds.first_inner_steps is None:
        return round_ * rounds.inner_steps
    return sum(inner_steps(rounds, earlier) for earlier in range(round_))


def total_steps(rounds: RoundsSpec) -> int:
    """Inner steps of the whole run."""
    return first_step(rounds, rounds.count)


def rate_factor(inner: InnerSpec, step: int, total: int) -> float:
    """Warm-up, stable, decay: factor on the peak rate at a global step, in [0, 1].

    Source: Hu et al. 2024 (MiniCPM); the 1-sqrt shape after Hägele et al. 2024, section 3.
    """
    if step < inner.warmup_steps:
        return (step + 1) / inner.warmup_steps
    decay_steps = round(inner.decay_share * total)
    into_decay = step - (total - decay_steps)
    if into_decay < 0:
        return 1.0
    progress = (into_decay + 1) / (decay_steps + 1)
    return 1 - progress if inner.decay_shape == "linear" else 1 - math.sqrt(progress)


def outer_rate(run: RunDocument, round_: int, *, embedding: bool) -> float:
    """Outer learning rate of a round, with its late decay."""
    outer, root = run.update.outer, math.sqrt(len(run.roster))
    named, usual = (outer.embedding_lr, 2 * root) if embedding else (outer.lr, root)
    rate = named if named is not None else usual
    late_from = run.rounds.count - round(outer.late_share * run.rounds.count)
    return rate * outer.late_factor if round_ >= late_from else rate
