"""The history of a base, computed again from its updates by whoever wants to know.

A verifier holds the run document, what each round record claims, and the objects; it has no torch
and asks nobody. Each round goes through the very functions that the coordinator used
(`arithmetic`). What differs from the claim, by a single bit, ends the replay with its name.

Not looked at here: what statements, rosters and the charter say about a round (who signed, whether
it had its quorum), and whether an update that was left out had to be: it is not kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from concord.base.canonical import parse_json
from concord.base.digest import Digest, digest_file
from concord.base.errors import ConcordError, StorageError, UpdateRefused, VerificationFailed
from concord.base.files import storage_errors
from concord.base.objects import ObjectStore
from concord.charter.run import RunDocument, parse_run
from concord.ledger.arithmetic import (
    RoundInputs,
    ScreenedUpdate,
    merge_round,
    merge_weights_of,
    next_history,
    screen_update,
)
from concord.ledger.onepass import merge_gauged, merges_unmeasured
from concord.ledger.sealed.book import RoundBook
from concord.ledger.sealed.replay import replay_sealed
from concord.ledger.sealed.tables import Clips, first_clips
from concord.update.combine import CombinedRound, RoundPaths
from concord.update.payload import most_bytes
from concord.update.screening import NormHistory

MAX_RUN_BYTES = 4 << 20
Progress = Callable[[int, str], None]
"""Told the round, counted from 1 as records are, and what is looked at next."""


RESULTS = ("outer step", "outer state", "base")
_Found = tuple[CombinedRound, Mapping[str, ScreenedUpdate]]


@dataclass(frozen=True)
class ReplayedRound:
    """What a round was found to be, beyond the digests that it had to match."""

    round: int
    norms: Mapping[str, float | None]
    """L2 norm of each accepted update; None where it was sealed."""
    norm_history: NormHistory
    """What the next round's norms are compared with."""
    next_scales: Mapping[str, str] = field(default_factory=dict)
    """Sealed mode: c_T of each weight for the next round, as in the record."""
    faults: tuple[str, ...] = ()
    """Sealed mode: wrong shares that the sum could be had without, in words."""


class Replayer:
    """Goes through the rounds of one run, in order.

    Each round is computed in one pass where the rules allow it (`onepass`). If that does not come
    to what is claimed, the round is taken step by step, to name the first thing that is wrong.

    On disk there is never more than the current base, what the outer optimiser keeps, and the two
    that are being made.

    Args:
        run: The run document.
        objects: Where first base and updates are; nothing in it is trusted.
        workdir: An empty folder.
        progress: Told what is looked at.
    """

    def __init__(
        self,
        run: RunDocument,
        objects: ObjectStore,
        workdir: Path,
        *,
        progress: Progress | None = None,
    ) -> None:
        self.run = run
        self._objects = objects
        self._workdir = workdir
        self._progress = progress
        self._inputs: RoundInputs | None = None
        self._clips: Clips = {}
        self._paths = RoundPaths(
            step=workdir / "step",
            base=workdir / "base.next",
            outer_state=workdir / "outer_state.next",
            durable=False,
        )

    def start(self, first_base: Digest) -> None:
        """Begin at the first base, which the members agreed on; its seed needs torch to check.

        Raises:
            VerificationFailed: it is missing, altered, or no tensor file in canonical form.
        """
        self._say(0, "first base")
        path = _checked(self._objects, first_base, "first base", where="round 0")
        inputs = RoundInputs(
            run=self.run,
            round=0,
            base=path,
            base_digest=first_base,
            outer_state=None,
            norm_history=NormHistory(),
        )
        try:
            _ = inputs.update_layout, inputs.step_layout
            if self.run.mode == "sealed":
                self._clips = first_clips(self.run, inputs.base_file.specs)
        except ConcordError as error:
            raise VerificationFailed(
                f"first base cannot be used: {error.message}", where="round 0"
            ) from error
        self._inputs = inputs

    def round(
        self,
        updates: Mapping[str, Digest],
        weights: Mapping[str, Fraction],
        *,
        base: Digest,
        step: Digest,
        outer_state: Digest | None,
        steps: Mapping[str, int] | None = None,
        late: Collection[str] = (),
        sealed: RoundBook | None = None,
    ) -> ReplayedRound:
        """Compute the next round again and compare it with what is claimed.

        1. The weights are those that the run document gives to these members.
        2. Each update is there, unaltered, and one that screening lets in.
        3. Merge and outer step give the claimed step, outer state and base.

        After a failure the replay cannot go on.

        Args:
            updates: Digest of the update of each member that went in.
            weights: Their weights.
            base: The base that the round led to.
            step: The encoded outer step.
            outer_state: What the outer optimiser keeps; None if it keeps nothing.
            steps: Inner steps that the plan gave each member, where they differ.
            late: Members whose update is one of the round before.
            sealed: What the log says of a sealed round; its updates are masked.

        Raises:
            VerificationFailed: names the round and the first thing that is wrong.
            StorageError: the work folder is full.
        """
        inputs, self._inputs = self._current(), None
        inputs = replace(inputs, steps=dict(steps or {}), late=frozenset(late))
        where = f"round {inputs.round + 1}"
        _check_weights(inputs, updates.keys(), weights, where)
        if inputs.run.mode == "sealed":
            return self._sealed(inputs, updates, weights, (step, outer_state, base), sealed)
        found = self._in_one_pass(inputs, updates, weights)
        if found is None or _results(found[0]) != (step, outer_state, base):
            # Something is wrong, or the rules need two passes: now step by step.
            found = self._step_by_step(inputs, updates, weights)
        made, screened = found
        _compare_results(made, (step, outer_state, base), where)
        history = next_history(inputs, screened)
        self._inputs = self._adopted(inputs, made, history)
        norms = {member: one.norms.total for member, one in screened.items()}
        return ReplayedRound(inputs.round + 1, norms, history)

    def _sealed(
        self,
        inputs: RoundInputs,
        updates: Mapping[str, Digest],
        weights: Mapping[str, Fraction],
        claimed: tuple[Digest, Digest | None, Digest],
        book: RoundBook | None,
    ) -> ReplayedRound:
        where = f"round {inputs.round + 1}"
        if book is None:
            raise VerificationFailed("nothing is known of how it was sealed", where=where)

        def find(digest: Digest, what: str, place: str, max_bytes: int | None) -> Path:
            self._say(inputs.round + 1, what)
            return _checked(self._objects, digest, what, where=place, max_bytes=max_bytes)

        found = replay_sealed(inputs, self._clips, book, updates, weights, self._paths, find)
        _compare_results(found.made, claimed, where)
        self._clips = found.clips
        self._inputs = self._adopted(inputs, found.made, inputs.norm_history)
        scales = {name: clip.hex() for name, clip in found.clips.items()}
        norms: dict[str, float | None] = dict.fromkeys(updates)
        return ReplayedRound(
            inputs.round + 1, norms, inputs.norm_history, scales, tuple(found.faults)
        )

    @property
    def objects(self) -> ObjectStore:
        """Where first base and updates are."""
        return self._objects

    @property
    def inputs(self) -> RoundInputs:
        """What the next round starts from.

        Raises:
            VerificationFailed: the replay was not started, or has failed.
        """
        return self._current()

    @property
    def base(self) -> Path:
        """The base that the rounds so far led to.

        Raises:
            VerificationFailed: the replay was not started, or has failed.
        """
        return self._current().base

    def _current(self) -> RoundInputs:
        if self._inputs is None:
            raise VerificationFailed(
                "there is no base to go on from",
                remedy="start at the first base; after a failure, again",
            )
        return self._inputs

    def _say(self, round_: int, what: str) -> None:
        if self._progress is not None:
            self._progress(round_, what)

    def _in_one_pass(
        self, inputs: RoundInputs, updates: Mapping[str, Digest], weights: Mapping[str, Fraction]
    ) -> _Found | None:
        """The round, if all is well with its updates."""
        if inputs.late or not merges_unmeasured(self.run):
            return None
        try:
            files = {
                member: self._update_file(inputs, member, digest)
                for member, digest in sorted(updates.items())
            }
            self._say(inputs.round + 1, "merge")
            return merge_gauged(inputs, files, weights, self._paths)
        except StorageError:
            raise
        except ConcordError:
            return None

    def _step_by_step(
        self, inputs: RoundInputs, updates: Mapping[str, Digest], weights: Mapping[str, Fraction]
    ) -> _Found:
        """The round as the coordinator went through it, up to the first thing that is wrong."""
        screened: dict[str, ScreenedUpdate] = {}
        for member, digest in sorted(updates.items()):
            screened[member] = self._screened(inputs, member, digest, screened.keys())
        self._say(inputs.round + 1, "merge")
        return self._merged(inputs, screened, weights), screened

    def _update_file(self, inputs: RoundInputs, member: str, digest: Digest) -> Path:
        where = f"round {inputs.round + 1}, {member}"
        self._say(inputs.round + 1, f"update of {member}")
        most = most_bytes(inputs.update_layout)
        return _checked(self._objects, digest, "update", where=where, max_bytes=most)

    def _screened(
        self, inputs: RoundInputs, member: str, digest: Digest, before: Collection[str]
    ) -> ScreenedUpdate:
        path = self._update_file(inputs, member, digest)
        try:
            return screen_update(inputs, member, path, accepted=before)
        except UpdateRefused as error:
            raise VerificationFailed(
                f"update had to be refused as {error.reason}: {error}",
                where=f"round {inputs.round + 1}, {member}",
            ) from error

    def _merged(
        self,
        inputs: RoundInputs,
        screened: Mapping[str, ScreenedUpdate],
        weights: Mapping[str, Fraction],
    ) -> CombinedRound:
        try:
            return merge_round(inputs, screened, weights, self._paths)
        except StorageError:
            raise
        except ConcordError as error:
            raise VerificationFailed(
                f"cannot be computed: {error}", where=f"round {inputs.round + 1}"
            ) from error

    def _adopted(
        self, inputs: RoundInputs, made: CombinedRound, history: NormHistory
    ) -> RoundInputs:
        base, outer_state = self._workdir / "base", self._workdir / "outer_state"
        with storage_errors(self._workdir):
            self._paths.step.unlink()
            os.replace(self._paths.base, base)
            if made.outer_state is not None:
                os.replace(self._paths.outer_state, outer_state)
        return RoundInputs(
            run=self.run,
            round=inputs.round + 1,
            base=base,
            base_digest=made.base,
            base_before=inputs.base_digest,
            outer_state=None if made.outer_state is None else outer_state,
            norm_history=history,
        )


def _results(made: CombinedRound) -> tuple[Digest, Digest | None, Digest]:
    return made.step.digest, made.outer_state, made.base


def read_run(objects: ObjectStore, digest: Digest) -> RunDocument:
    """The run document that a digest addresses.

    Raises:
        VerificationFailed: it is missing, altered, or not a run document as this version knows it.
    """
    what = "run document"
    path = _checked(objects, digest, what, where=digest, max_bytes=MAX_RUN_BYTES)
    try:
        run = parse_run(parse_json(path.read_bytes(), max_bytes=MAX_RUN_BYTES))
    except ConcordError as error:
        raise VerificationFailed(f"{what} cannot be read: {error}", where=digest) from error
    if run.digest != digest:
        raise VerificationFailed(
            f"{what} is not in the form that this version writes",
            where=digest,
            remedy="verify with the version of concord that the run was made with",
        )
    return run


def _check_weights(
    inputs: RoundInputs, members: Collection[str], weights: Mapping[str, Fraction], where: str
) -> None:
    for member in sorted(members):
        if member not in inputs.run.member_ids:
            raise VerificationFailed("is not in the run's roster", where=f"{where}, {member}")
    try:
        right = merge_weights_of(inputs.run, members, inputs.steps)
    except ConcordError as error:
        raise VerificationFailed(f"cannot be weighed: {error}", where=where) from error
    for member in sorted(right.keys() | weights.keys()):
        if weights.get(member) != right.get(member):
            raise VerificationFailed(
                f"weight is claimed to be {weights.get(member, 'none')}, but is"
                f" {right.get(member, 'none')}",
                where=f"{where}, {member}",
            )


def _checked(
    objects: ObjectStore, digest: Digest, what: str, *, where: str, max_bytes: int | None = None
) -> Path:
    """Path of an object whose bytes have this digest."""
    try:
        path = objects.path(digest)
        size = path.stat().st_size
        if max_bytes is None or size <= max_bytes:
            found = digest_file(path)
    except (OSError, ConcordError) as error:
        raise VerificationFailed(
            f"{what} {digest[:80]} is missing from the objects",
            where=where,
            remedy="fetch it from another copy",
        ) from error
    if max_bytes is not None and size > max_bytes:
        raise VerificationFailed(
            f"{what} is altered: {size:,} bytes are more than it can have", where=where
        )
    if found != digest:
        raise VerificationFailed(
            f"{what} is altered: its bytes do not match its digest {digest}", where=where
        )
    return path


def _compare_results(
    made: CombinedRound, claimed: tuple[Digest, Digest | None, Digest], where: str
) -> None:
    for what, right, found in zip(RESULTS, claimed, _results(made), strict=True):
        _compare(what, right, found, where)


def _compare(what: str, claimed: Digest | None, found: Digest | None, where: str) -> None:
    if claimed != found:
        raise VerificationFailed(
            f"{what} is claimed to be {claimed or 'none'}, but is {found or 'none'}", where=where
        )
