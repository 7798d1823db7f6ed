"""One round's arithmetic from end to end; what a verifier recomputes.

    accepted updates -> merged -> outer step -> encoded -> decoded -> base minus step

The base moves by the *decoded* step, at the coordinator as at every member (`apply_step` is the one
function for both), so that all copies stay equal to the last bit. Shared inner state travels in
the same payload and replaces what the base held. What the outer optimiser keeps stays in a file of
its own, as `<tensor>#<kind>`, together with what a sparse down-link codec left out
(`<tensor>#residual`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from concord.base.digest import Digest
from concord.base.errors import CheckpointError, UpdateError
from concord.base.files import atomic_file
from concord.base.tensors import (
    FloatArray,
    TensorFile,
    TensorSpec,
    write_tensor_parts,
    write_tensors,
)
from concord.update.codecs import CODECS
from concord.update.feedback import ErrorFeedback
from concord.update.gauge import Gauge
from concord.update.layout import Entry, Layout, Role
from concord.update.merge import Accepted, Merge, MergeOptions
from concord.update.outer import OuterRule, outer_step
from concord.update.payload import EncodedSummary, PayloadWriter, UpdateFile, UpdateIdentity
from concord.update.sums import require_ieee_arithmetic

RESIDUAL = "residual"


@dataclass(frozen=True)
class RoundPaths:
    """Where the results of a round are written; each file whole or not at all."""

    step: Path
    base: Path
    outer_state: Path
    durable: bool = True
    """Synced to the disk, as what is committed has to be; who only compares digests need not."""


@dataclass(frozen=True)
class CombinedRound:
    """Digests of what was written."""

    step: EncodedSummary
    base: Digest
    outer_state: Digest | None
    """None where the outer optimiser keeps nothing; no file is written then."""


def combine_round(
    *,
    base: TensorFile,
    outer_state: TensorFile | None,
    accepted: Sequence[Accepted],
    options: MergeOptions,
    outer: OuterRule,
    rate: Callable[[Entry], float],
    step_layout: Layout,
    identity: UpdateIdentity,
    paths: RoundPaths,
    gauge: Gauge | None = None,
    whole: Layout | None = None,
) -> CombinedRound:
    """Merge, take the outer step, encode it, apply it, and write all three results.

    Memory stays at a few tensors, whatever the number of members and the size of the model.

    Args:
        base: The base all updates start from: weights, and shared state if the run shares any.
        outer_state: What the last round wrote; None in the first.
        accepted: Screened updates with exact weights that add up to 1, in any order.
        options: Merge rules.
        outer: Outer optimiser.
        rate: Outer learning rate of an entry in this round.
        step_layout: What is sent back: all weights that came, and the state that travelled, in the
            down link's codecs.
        identity: Run, round and base of the step; its member is None.
        paths: Where to write.
        gauge: Sees the updates as they are decoded; see `Merge`.
        whole: The step's layout with all tensors of the run, where a round moves a part of them;
            what the outer optimiser keeps of the others stays as it is.

    Raises:
        UpdateError: base, updates and step layout do not belong together, or the step is not
            finite.
        CheckpointError: the outer state does not belong to this run.
        StorageError: a file cannot be written.
    """
    return combine_merged(
        base=base,
        outer_state=outer_state,
        merge=Merge(accepted, options, gauge),
        outer=outer,
        rate=rate,
        step_layout=step_layout,
        identity=identity,
        paths=paths,
        whole=whole,
    )


class Merged(Protocol):
    """The merged update of a round, however it came about."""

    layout: Layout

    def tensor(self, name: str) -> FloatArray:
        """The merged tensor, of its shape; asked for once, in the order of names."""


def combine_merged(
    *,
    base: TensorFile,
    outer_state: TensorFile | None,
    merge: Merged,
    outer: OuterRule,
    rate: Callable[[Entry], float],
    step_layout: Layout,
    identity: UpdateIdentity,
    paths: RoundPaths,
    whole: Layout | None = None,
) -> CombinedRound:
    """`combine_round` from the merge on: outer step, encoding, next base.

    Args:
        merge: The merged update; all else as of `combine_round`.

    Raises:
        UpdateError, CheckpointError, StorageError: as of `combine_round`.
    """
    require_ieee_arithmetic()
    _check_layouts(base, merge.layout, step_layout)
    with atomic_file(paths.step, durable=paths.durable) as stream:
        writer = PayloadWriter(stream, step_layout, identity)
        layouts = step_layout, step_layout if whole is None else whole
        round_ = _Round(merge, outer, rate, layouts, outer_state, writer)
        specs = round_.state_specs()
        outer_digest = None
        if specs:
            outer_digest = write_tensors(
                paths.outer_state, specs, round_.run(), durable=paths.durable
            )
        else:
            for _ in round_.run():
                pass
        summary = writer.finish()
    step = UpdateFile(paths.step, step_layout, identity)
    digest = apply_step(base, step, paths.base, durable=paths.durable)
    return CombinedRound(summary, digest, outer_digest)


def apply_step(base: TensorFile, step: UpdateFile, path: Path, *, durable: bool = True) -> Digest:
    """Write the base that a step leads to, and return its digest.

    Weights become base minus decoded step, shared state becomes what the step carries, and state
    that did not travel in this round stays.

    Raises:
        UpdateError: the step is for other tensors.
        UpdateRefused: it cannot be decoded.
        StorageError: the file cannot be written.
    """
    require_ieee_arithmetic()
    _check_base(base, step.layout)
    return write_tensor_parts(path, base.specs, _applied(base, step), durable=durable)


def _applied(base: TensorFile, step: UpdateFile) -> Iterator[Iterable[FloatArray]]:
    for spec, array in base.items():
        if spec.name not in step.layout:
            yield (array,)
        elif step.layout.by_name[spec.name].is_weight:
            yield _moved(array.reshape(-1), step.windows(spec.name))
        else:
            yield step.windows(spec.name)
        base.let_go(spec.name)


def _moved(base_D: FloatArray, step: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Base minus step, window by window."""
    start = 0
    for window in step:
        yield np.subtract(base_D[start : start + window.size], window, out=window)
        start += window.size


class _Round:
    """Takes the round's tensors one by one, in the order of names."""

    def __init__(
        self,
        merge: Merged,
        outer: OuterRule,
        rate: Callable[[Entry], float],
        layouts: tuple[Layout, Layout],
        state: TensorFile | None,
        writer: PayloadWriter,
    ) -> None:
        self._merge, self._outer, self._rate, self._writer = merge, outer, rate, writer
        self._layout, self._whole = layouts
        self._state = state
        if state is not None and state.specs != self.state_specs():
            raise CheckpointError(
                "outer state belongs to another run", where=state.path, remedy="restore it"
            )

    def state_specs(self) -> list[TensorSpec]:
        return sorted(spec for entry in self._whole for spec in self._kept(entry))

    def _kept(self, entry: Entry) -> list[TensorSpec]:
        """What is kept of an entry from round to round, sorted."""
        kinds = self._outer.state_specs(entry.spec) if entry.is_weight else []
        if entry.is_weight and CODECS[entry.codec].feeds_back:
            kinds = [*kinds, TensorSpec(RESIDUAL, entry.spec.shape)]
        return sorted(TensorSpec(f"{entry.name}#{kind.name}", kind.shape) for kind in kinds)

    def run(self) -> Iterator[FloatArray]:
        """Encode every tensor's step; yield the outer state's tensors in order."""
        for entry in self._whole:
            if entry.name not in self._layout:
                yield from self._unmoved(entry)
                continue
            merged = self._merge.tensor(entry.name)
            if not entry.is_weight:
                self._writer.add(merged)
                continue
            old = self._old_state(entry)
            residual = old.pop(RESIDUAL, None)
            rate = self._rate(entry)
            step, new = outer_step(self._outer, merged, old, rate=rate, out=merged)
            codec = CODECS[entry.codec]
            if codec.feeds_back:
                carried = _carried(entry.name, residual, step)
                sent = codec.decode(self._writer.add(carried), carried.size)
                new[RESIDUAL] = carried - sent.reshape(carried.shape)
            else:
                self._writer.add(step)
            for spec in self._kept(entry):
                yield new[spec.name.rpartition("#")[2]]
                if self._state is not None:
                    self._state.let_go(spec.name)

    def _unmoved(self, entry: Entry) -> Iterator[FloatArray]:
        """What is kept of a tensor that this round leaves alone: as it was, or zeros."""
        for spec in self._kept(entry):
            if self._state is None:
                yield np.zeros(spec.shape, np.float32)
            else:
                yield self._state[spec.name]
                self._state.let_go(spec.name)

    def _old_state(self, entry: Entry) -> dict[str, FloatArray]:
        state = self._state
        if state is None:
            return {}
        return {s.name.rpartition("#")[2]: state[s.name] for s in self._kept(entry)}


def _carried(name: str, residual: FloatArray | None, step: FloatArray) -> FloatArray:
    feedback = ErrorFeedback({} if residual is None else {name: residual}, beta=1.0)
    return feedback.carried(name, step)


def _check_layouts(base: TensorFile, updates: Layout, step: Layout) -> None:
    """All weights come and go; state goes back as it came; counts stay."""
    _check_base(base, step)
    for entry in updates:
        if entry.role is Role.COUNTS:
            continue
        back = step.by_name.get(entry.name)
        if back is None or (back.spec, back.role) != (entry.spec, entry.role):
            raise UpdateError("is in the updates but not the same in the step", where=entry.name)
    for entry in step:
        if entry.name not in updates:
            raise UpdateError("is in the step but not in the updates", where=entry.name)


def _check_base(base: TensorFile, layout: Layout) -> None:
    shapes = {spec.name: spec.shape for spec in base.specs}
    for entry in layout:
        if shapes.get(entry.name) != entry.spec.shape:
            raise UpdateError("is not a tensor of this base", where=entry.name)
