"""The arithmetic of a round, for whoever computes it: the coordinator once, a verifier again.

    agreed work -> screening -> weights -> merge, outer step, next base -> next norm history

Everything follows from the run document, the base, what the outer optimiser kept, the norms of the
rounds before, and the updates. Nothing here knows of members' machines, of time, or of a log.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from concord.base.digest import Digest
from concord.base.errors import DocumentError, RefusalReason, UpdateRefused
from concord.base.tensors import FloatArray, TensorFile
from concord.charter.run import RunDocument
from concord.charter.schedule import first_step, inner_steps, outer_rate, rate_factor, total_steps
from concord.ledger.layouts import (
    fragment_of,
    own_rounds,
    step_layout,
    update_layout,
    whole_step_layout,
)
from concord.update.combine import CombinedRound, RoundPaths, combine_round
from concord.update.feedback import DEFAULT_BETA
from concord.update.gauge import Gauge, UpdateNorms
from concord.update.late import CorrectedUpdate
from concord.update.layout import Entry, Layout, Role
from concord.update.merge import Accepted, Merge, MergeOptions
from concord.update.norm_control import NormFactors, NormOptions
from concord.update.outer import OuterRule
from concord.update.payload import UpdateFile, UpdateIdentity
from concord.update.robust import kept_updates, least_updates
from concord.update.screening import Expectation, NormBounds, NormHistory, screen
from concord.update.weights import merge_weights

REMEMBERED_ROUNDS = 100
"""After so many rounds nothing of a residual is left: 0.95^100 < 1 %."""


@dataclass(frozen=True)
class RoundInputs:
    """What a round starts from, before any update is seen.

    The files are opened once, when they are first needed.
    """

    run: RunDocument
    round: int
    """0-based: rounds committed before this one."""
    base: Path
    base_digest: Digest
    """Checked by the caller; updates have to name it."""
    outer_state: Path | None
    """What the round before wrote; None in the first, or where nothing is kept."""
    norm_history: NormHistory
    steps: Mapping[str, int] = field(default_factory=dict)
    """Inner steps that the plan gives each member, where they differ (`charter.pace`)."""
    base_before: Digest | None = None
    """The base that the round before started from: what late updates start from."""
    late: frozenset[str] = frozenset()
    """Members whose update is one of the round before."""

    @cached_property
    def base_file(self) -> TensorFile:
        """The base, opened.

        Raises:
            CheckpointError: it is missing, torn, or not in canonical form.
        """
        return TensorFile(self.base)

    @cached_property
    def update_layout(self) -> Layout:
        return update_layout(self.run, self.base_file.specs, self.round)

    @cached_property
    def step_layout(self) -> Layout:
        return step_layout(self.run, self.base_file.specs, self.round)

    @property
    def fragment(self) -> int | None:
        """The part of the model that this round moves; None if it moves all of it."""
        return None if self.run.rounds.fragments == 1 else fragment_of(self.run, self.round)

    @property
    def own_norms(self) -> NormHistory:
        """Norms of earlier updates of the same tensors."""
        return self.norm_history.of(self.fragment)

    @property
    def step_identity(self) -> UpdateIdentity:
        """What the encoded outer step says of itself."""
        return UpdateIdentity(self.expectation.run, self.round, self.base_digest, None)

    @property
    def agreed_steps(self) -> int:
        """Inner steps of one member, at most."""
        return inner_steps(self.run.rounds, self.round)

    @property
    def agreed_tokens(self) -> int:
        """Tokens that one member trains on at most."""
        return self.agreed_steps * self.run.inner.batch_tokens

    def agreed_with(self, member: str) -> int:
        """Inner steps of this member."""
        return self.steps.get(member, self.agreed_steps)

    @property
    def norm_bounds(self) -> NormBounds:
        update, beside = self.run.update, self.norm_history.beside(self.fragment)
        return NormBounds(update.min_norm_ratio, update.max_norm_ratio, beside)

    @cached_property
    def norm_scale(self) -> float:
        return norm_scale(self.run, self.round)

    def norm_scale_of(self, member: str) -> float:
        """The same of a member's own steps: who takes fewer has a smaller update."""
        if not self.steps:
            return self.norm_scale
        whole = _rate_sum(self.run, self.round)
        own = _rate_sum(self.run, self.round, self.agreed_with(member))
        return self.norm_scale * own / whole if whole and own else self.norm_scale

    @cached_property
    def expectation(self) -> Expectation:
        return Expectation(
            run=self.run.digest,
            round=self.round,
            base=self.base_digest,
            roster=frozenset(self.run.member_ids),
            max_tokens=self.agreed_tokens,
        )


@dataclass(frozen=True)
class ScreenedUpdate:
    """An update that may enter the round."""

    update: UpdateFile
    norms: UpdateNorms


def check_work(inputs: RoundInputs, member: str, *, steps: int, tokens: int) -> None:
    """Refuse an update whose sender declares more work than was agreed with it.

    Raises:
        UpdateRefused: TOO_LARGE.
    """
    agreed = inputs.agreed_with(member)
    if steps > agreed or tokens > agreed * inputs.run.inner.batch_tokens:
        raise UpdateRefused(RefusalReason.TOO_LARGE, "declares more work than was agreed")


def screen_update(
    inputs: RoundInputs, member: str, path: Path, *, accepted: Collection[str]
) -> ScreenedUpdate:
    """Decode an update in full, and say whether it may enter the round.

    Args:
        inputs: The round.
        member: Who sent it.
        path: The encoded update.
        accepted: Members whose updates were accepted in this round before.

    Raises:
        UpdateRefused: with the reason.
        UpdateError: the file cannot be read.
    """
    update = UpdateFile(path, inputs.update_layout)
    if member in inputs.late:
        inputs = _round_before(inputs)
    expected = inputs.expectation
    if inputs.steps:
        most = inputs.agreed_with(member) * inputs.run.inner.batch_tokens
        expected = replace(expected, max_tokens=most)
    norms = screen(
        update,
        sender=member,
        expected=expected,
        accepted=accepted,
        history=inputs.own_norms,
        bounds=inputs.norm_bounds,
        norm_scale=inputs.norm_scale_of(member),
    )
    return ScreenedUpdate(update, norms)


def _round_before(inputs: RoundInputs) -> RoundInputs:
    """What a late update was made for; norms are still compared with the latest."""
    if inputs.run.update.late != "correct" or inputs.base_before is None:
        raise UpdateRefused(RefusalReason.WRONG_ROUND, "is for the round before")
    return replace(inputs, round=inputs.round - 1, base_digest=inputs.base_before, late=frozenset())


def round_weights(
    run: RunDocument, members: Collection[str], steps: Mapping[str, int] | None = None
) -> dict[str, Fraction]:
    """Exact weight of each accepted member; they add up to 1.

    A robust rule gives each update one vote; there the weights say who took part, and the cap
    bounds the largest share that the rule can give.

    Args:
        steps: Inner steps that the plan gave each member, where they differ: the charter's weight
            counts in proportion to them, before the cap. Nothing that a member says is weighed.

    Raises:
        DocumentError: nobody was accepted, too few owners are left for the cap to hold, or too few
            updates for a robust rule.
    """
    rule, hostile = run.update.merge, run.update.hostile
    needed = least_updates(rule, hostile)
    if len(members) < needed:
        raise DocumentError(f"{rule} needs {needed} updates to stand {hostile} hostile")
    if rule != "mean" and kept_updates(rule, len(members), hostile) * run.update.owner_cap < 1:
        raise DocumentError(
            f"{rule} can give one owner more than the cap of {run.update.owner_cap}"
        )
    return merge_weights(
        {m.id: m.weight * (steps or {}).get(m.id, 1) for m in run.roster if m.id in members},
        owners={member.id: member.owner for member in run.roster},
        cap=run.update.owner_cap,
    )


def sealed_weights(run: RunDocument, survivors: Collection[str]) -> dict[str, Fraction]:
    """Exact weight of each member in a sealed round's mean.

        w'_m = w_m / D,   D = max(sum over survivors of w, largest w of an owner among them / cap)

    with w the weights of the whole roster, since members weigh their updates before they know who
    else will be there. Where the cap binds, the weights add up to less than 1 and the step is
    shorter.

    Raises:
        DocumentError: nobody survived, or the cap cannot hold with the whole roster.
    """
    if not survivors:
        raise DocumentError("there is no update to weigh")
    whole = round_weights(run, run.member_ids)
    owner_of = {member.id: member.owner or member.id for member in run.roster}
    owners: dict[str, Fraction] = {}
    for member in survivors:
        owner = owner_of[member]
        owners[owner] = owners.get(owner, Fraction(0)) + whole[member]
    divisor = max(sum(owners.values(), Fraction(0)), max(owners.values()) / run.update.owner_cap)
    return {member: whole[member] / divisor for member in sorted(survivors)}


def merge_weights_of(
    run: RunDocument, members: Collection[str], steps: Mapping[str, int] | None = None
) -> dict[str, Fraction]:
    """Exact weights of the members whose updates go in, by the mode of the run.

    Raises:
        DocumentError: as of the two that it stands for.
    """
    if run.mode == "open":
        return round_weights(run, members, steps)
    return sealed_weights(run, members)


def weights_fault(run: RunDocument, members: Collection[str]) -> str:
    """Why the updates of these members cannot be weighed; empty if they can."""
    try:
        merge_weights_of(run, members)
    except DocumentError as error:
        return error.message
    return ""


def merge_round(
    inputs: RoundInputs,
    updates: Mapping[str, ScreenedUpdate],
    weights: Mapping[str, Fraction],
    paths: RoundPaths,
    gauge: Gauge | None = None,
    *,
    unscaled: bool = False,
) -> CombinedRound:
    """Merge screened updates, take the outer step, and write step, base and outer state.

    Args:
        inputs: The round.
        updates: Of each accepted member, as `screen_update` let it in.
        weights: As `round_weights` gave them for these members.
        paths: Where to write.
        gauge: Sees the updates, sorted by member, as they are decoded.
        unscaled: Leave norm control out, for a caller that finds out afterwards whether there was
            anything to scale.

    Raises:
        UpdateError: the step is not finite.
        CheckpointError: the outer state does not belong to this run.
        StorageError: a file cannot be written.
    """
    run = inputs.run
    norms = NormOptions() if unscaled else norm_options(inputs)
    outer_state = None if inputs.outer_state is None else TensorFile(inputs.outer_state)
    return combine_round(
        base=inputs.base_file,
        outer_state=outer_state,
        accepted=[
            Accepted(member, _turned(inputs, member, one.update), weights[member], one.norms)
            for member, one in updates.items()
        ],
        options=MergeOptions(run.update.merge, run.update.rows, norms, run.update.hostile),
        outer=OuterRule(run.update.outer.optimizer, run.update.outer.momentum),
        rate=lambda entry: _rate(run, inputs.round, entry),
        step_layout=inputs.step_layout,
        identity=inputs.step_identity,
        paths=paths,
        gauge=gauge,
        whole=whole_step_layout(run, inputs.base_file.specs, inputs.round),
    )


def _turned(inputs: RoundInputs, member: str, update: UpdateFile) -> UpdateFile:
    """An update as it enters the merge: a late one is turned towards the outer momentum."""
    if member not in inputs.late:
        return update
    kept = None if inputs.outer_state is None else TensorFile(inputs.outer_state)
    rest = np.float32(1 - inputs.run.update.outer.momentum)

    def momentum(name: str) -> FloatArray | None:
        return None if kept is None else kept[f"{name}#momentum"] * rest

    return CorrectedUpdate(update, momentum)


def merge_of(inputs: RoundInputs, updates: Mapping[str, ScreenedUpdate]) -> Merge:
    """The merge of some updates alone, without outer step: what a probe gate looks at.

    Raises:
        DocumentError: these updates cannot be weighed.
    """
    run, weights = inputs.run, round_weights(inputs.run, updates.keys(), inputs.steps)
    return Merge(
        [Accepted(name, one.update, weights[name], one.norms) for name, one in updates.items()],
        MergeOptions(run.update.merge, run.update.rows, norm_options(inputs), run.update.hostile),
    )


def outer_rate_of(inputs: RoundInputs, entry: Entry) -> np.float32:
    """By what a merged tensor is multiplied in this round, momentum left out."""
    return np.float32(_rate(inputs.run, inputs.round, entry))


def next_history(inputs: RoundInputs, updates: Mapping[str, ScreenedUpdate]) -> NormHistory:
    """What the next round's norms are compared with, given the updates of this one.

    Late ones say nothing of it: they are of another round.
    """
    updates = {member: one for member, one in updates.items() if member not in inputs.late}
    norms = [one.norms for one in updates.values()]
    groups = norms[0].groups if norms else ()
    totals = [one.total for one in norms]
    if inputs.steps:
        whole = inputs.norm_scale
        totals = [n * whole / inputs.norm_scale_of(m) for n, m in zip(totals, updates, strict=True)]
    history = inputs.own_norms.extended(
        totals,
        norm_scale=inputs.norm_scale,
        groups={group: [one.groups[group] for one in norms] for group in groups},
    )
    return inputs.norm_history.with_history(inputs.fragment, history)


def norm_options(inputs: RoundInputs) -> NormOptions:
    """Norm control of this round: the running medians of the groups, at this round's rates."""
    update, history = inputs.run.update, inputs.own_norms
    known = {group: history.group_median(group) for group in history.groups}
    return NormOptions(
        update.norm_control,
        update.clip_ratio,
        {g: median * inputs.norm_scale for g, median in known.items() if median is not None},
    )


def scales_nothing(inputs: RoundInputs, updates: Mapping[str, ScreenedUpdate]) -> bool:
    """Whether norm control leaves all updates of a round as they are."""
    norms = [one.norms for _, one in sorted(updates.items())]
    return NormFactors(norms, norm_options(inputs)).change_nothing


def norm_scale(run: RunDocument, round_: int) -> float:
    """What the schedule says norms are proportional to: the sum of the round's rate factors.

    Where a model is sent in parts, of all rounds since this part was sent. With error feedback an
    update also carries what earlier ones of the same tensors left out, fading by beta each time:
    without that a falling rate would have honest updates refused.
    """
    fading, turn = DEFAULT_BETA if run.update.codec == "sparse" else 0.0, run.rounds.fragments
    back = min(REMEMBERED_ROUNDS, round_ // turn) if fading else 0
    scale = 0.0
    for earlier in range(round_ - back * turn, round_ + 1, turn):
        scale = fading * scale + sum(_rate_sum(run, one) for one in own_rounds(run, earlier))
    return scale or 1.0


def _rate(run: RunDocument, round_: int, entry: Entry) -> float:
    return outer_rate(run, round_, embedding=entry.role is Role.EMBEDDING)


def _rate_sum(run: RunDocument, round_: int, count: int | None = None) -> float:
    first, total = first_step(run.rounds, round_), total_steps(run.rounds)
    steps = range(first, first + (inner_steps(run.rounds, round_) if count is None else count))
    return sum(rate_factor(run.inner, step, total) for step in steps)
