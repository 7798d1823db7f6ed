"""Screening and merge in one pass, for a verifier: each value is decoded once instead of twice.

A coordinator has to screen an update before it knows with whom it will be merged. A verifier knows
from the start, and most of its time goes into decoding. This comes to the same bits as
`arithmetic.screen_update` and `arithmetic.merge_round`, of whose parts it is made, and refuses the
same rounds. It does not say which update was at fault: for that, take them one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from concord.charter.run import RunDocument
from concord.ledger.arithmetic import (
    RoundInputs,
    ScreenedUpdate,
    merge_round,
    scales_nothing,
)
from concord.update.combine import CombinedRound, RoundPaths
from concord.update.gauge import Gauge, UpdateNorms
from concord.update.payload import UpdateFile
from concord.update.screening import check_norm, check_origin

_UNMEASURED = UpdateNorms(total=math.nan, tensors={})


def merges_unmeasured(run: RunDocument) -> bool:
    """Whether the run's merge can do without norms and token counts, so that they can come last.

    Clipping can, in a round in which it changes nothing: that is known afterwards.
    """
    plain = (run.update.merge, run.update.rows) == ("mean", "uniform")
    return plain and run.update.norm_control in ("none", "clip_groups")


def merge_gauged(
    inputs: RoundInputs,
    files: Mapping[str, Path],
    weights: Mapping[str, Fraction],
    paths: RoundPaths,
) -> tuple[CombinedRound, dict[str, ScreenedUpdate]] | None:
    """Merge updates and screen them on the way; None if one of them has to be scaled down first.

    Args:
        inputs: The round, of a run that `merges_unmeasured`.
        files: The encoded update of each member.
        weights: As `round_weights` gave them for these members.
        paths: Where to write; what is written counts only if nothing is raised.

    Raises:
        UpdateRefused: one of the updates must not enter.
        UpdateError, CheckpointError, StorageError: as of the functions it stands for.
    """
    opened: dict[str, UpdateFile] = {}
    for member, path in sorted(files.items()):
        update = UpdateFile(path, inputs.update_layout)
        check_origin(update, sender=member, expected=inputs.expectation, accepted=opened.keys())
        opened[member] = update
    unmeasured = {member: ScreenedUpdate(one, _UNMEASURED) for member, one in opened.items()}
    gauge = Gauge(inputs.update_layout, members=len(opened))
    made = merge_round(inputs, unmeasured, weights, paths, gauge, unscaled=True)
    updates = {
        member: ScreenedUpdate(one, gauge.norms(number))
        for number, (member, one) in enumerate(opened.items())
    }
    for member, one in updates.items():
        check_norm(
            one.norms,
            history=inputs.own_norms,
            bounds=inputs.norm_bounds,
            norm_scale=inputs.norm_scale_of(member),
        )
    return (made, updates) if scales_nothing(inputs, updates) else None
