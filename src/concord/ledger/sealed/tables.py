"""What the integers of a round stand for: one scale per tensor, from public facts alone.

Weights: c_T = 8 k_T sqrt(n) RMS(last merged update), at most twice or half of the round before; k_T
is 4 for vocabularies, whose rows differ most and partly cancel in the mean, and 2 for all else. In
the first round twice what the inner rate allows: c_T = 2 rate sum(rate factors of its steps). A
member also shortens each weight's update to `max_norm_ratio` times the length that c_T stands for.

Shared second moments span decades and are never negative. They are few (one per row), so they are
sent exactly enough to need no scale: v / clip_norm^2 in fixed point, in digits of b - 1 bits, each
digit an element of its own. A gradient is clipped to `clip_norm`, so no second moment is above its
square.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from concord.base.errors import UpdateError
from concord.base.tensors import TensorSpec
from concord.charter.run import RunDocument
from concord.charter.run_sections import RINGS
from concord.crypto.seal import Ring
from concord.ledger.arithmetic import norm_scale
from concord.ledger.layouts import update_layout
from concord.update.integer.scales import SMALLEST_CLIP, SPREAD, Scale, ScaleTable, next_scales
from concord.update.layout import Entry, Layout, Role

FIRST_SPREAD = 2.0
"""Adam moves a value by its rate per step at most, for long; Muon's values spread eight times as
wide as their root mean square of 0.2 rate."""
STATE_BITS = 55
WIDER = {Role.EMBEDDING: 4.0}
WIDE = 2.0
"""Factor on the usual spread. At 1, a thousandth of a vocabulary's values were measured to be cut
off, those of the commonest tokens; there are bits to spare."""
Clips = Mapping[str, float]
"""c_T of each weight, a float32."""


def digits(ring: Ring) -> int:
    """Elements that one second moment takes."""
    return max(2, STATE_BITS // (ring.value_bits - 1))


def first_clips(run: RunDocument, base: Sequence[TensorSpec]) -> dict[str, float]:
    """c_T of each weight in the first round."""
    steps = norm_scale(run, 0)
    found = {}
    for entry in update_layout(run, base, 0):
        if entry.is_weight:
            clip = FIRST_SPREAD * _rate(run, entry) * steps
            found[entry.name] = float(np.float32(max(clip, SMALLEST_CLIP)))
    return found


def scale_table(
    run: RunDocument, base: Sequence[TensorSpec], round_: int, clips: Clips, members: int
) -> ScaleTable:
    """The table of a round.

    Args:
        members: Of the largest cohort.

    Raises:
        UpdateError: the clips are of other tensors.
        SealRefused: the ring has no room for so many members.
    """
    bits = RINGS[run.update.codec]
    ring = Ring(bits, members)
    bound = float(np.float32(run.inner.clip_norm**2))
    layout = update_layout(run, base, round_)
    if {entry.name for entry in layout if entry.is_weight} != clips.keys():
        raise UpdateError("scales are of another network's tensors")
    return ScaleTable(
        bits,
        members,
        tuple(
            Scale(entry.name, entry.spec.size, clips[entry.name])
            if entry.is_weight
            else Scale(entry.name, entry.spec.size * digits(ring), bound)
            for entry in layout
        ),
    )


def norm_limits(run: RunDocument, layout: Layout, round_: int, clips: Clips) -> dict[str, float]:
    """Largest L2 norm that a member sends of each weight: nobody else can look at it.

        max_norm_ratio sqrt(n) |last merged update|, for a round that takes steps of the same size

    c_T holds k_T sqrt(n) RMS(last merged update) already. Members' updates of vocabulary rows
    partly cancel, so that this was measured at 0.6 to 0.8 of what honest members have there: a
    ratio of 1.5 shortens them, and the next limit with them. There is no limit in the first round.
    """
    if round_ == 0:
        return {}
    growth = norm_scale(run, round_) / norm_scale(run, round_ - 1)
    ratio = run.update.max_norm_ratio * growth / SPREAD
    return {
        entry.name: ratio * clips[entry.name] / _width(entry) * math.sqrt(entry.spec.size)
        for entry in layout
        if entry.is_weight
    }


def next_clips(
    layout: Layout, clips: Clips, rms: Mapping[str, float], contributors: int
) -> dict[str, float]:
    """c_T of each weight in the next round.

    Args:
        layout: Says what each weight is.
        rms: Root mean square of each merged weight, over the rows that took part.
        contributors: Members whose updates went in.
    """
    weights = tuple(Scale(name, 1, clip) for name, clip in sorted(clips.items()))
    wide = {name: rms[name] * _width(layout.by_name[name]) for name in clips}
    table = next_scales(ScaleTable(32, 3, weights), wide, contributors)
    return {one.name: one.clip for one in table.tensors}


def clips_of(table: ScaleTable, layout: Sequence[Entry]) -> dict[str, float]:
    """c_T of each weight, from a round's table."""
    weights = {entry.name for entry in layout if entry.is_weight}
    return {one.name: one.clip for one in table.tensors if one.name in weights}


def _width(entry: Entry) -> float:
    return WIDER.get(entry.role, WIDE)


def _rate(run: RunDocument, entry: Entry) -> float:
    by_matrix = run.inner.optimizer == "muon" and entry.role is Role.BODY
    return run.inner.matrix_lr if by_matrix else run.inner.lr
