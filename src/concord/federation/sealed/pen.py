"""A member's part of sealed rounds: scales that follow, values that are bounded, one masked file.

What is the same for every sealed sum, keys, sets and shares, stands in `key_pen`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from concord.base.canonical import canonical_json, parse_canonical
from concord.base.digest import Digest, digest_file
from concord.base.errors import SealRefused
from concord.base.tensors import FloatArray
from concord.charter.run import RunDocument
from concord.crypto.seal import (
    chunk_root,
    value_commitment,
)
from concord.crypto.seal.masks import Keystream
from concord.federation.sealed.key_pen import AnySum, KeyPen
from concord.federation.sealed.store import Commitment, file_root
from concord.ledger.arithmetic import RoundInputs
from concord.ledger.sealed.book import RoundBook
from concord.ledger.sealed.coverage import Coverage
from concord.ledger.sealed.exposure import score_of
from concord.ledger.sealed.rounds import SealedInputs, expected_header, sealed_inputs
from concord.ledger.sealed.tables import clips_of, first_clips, norm_limits
from concord.ledger.sealed.values import quantised, weighing
from concord.ledger.statements.sealing import (
    SealSetUp,
    UpdateCommitted,
)
from concord.update.integer.scales import LARGEST_CHANGE, ScaleTable
from concord.update.screening import NormHistory

SALT_BYTES = 32
MAX_ANNOUNCED_BYTES = 1 << 16
NAMED_STRIDE = 13


@dataclass(frozen=True)
class Masked:
    """A masked update on disk, ready to be named and sent."""

    path: Path
    update: Digest
    bytes: int
    hidden: str


class SealPen(KeyPen):
    """One member's secrets and steps in the sealed rounds of one run.

    Args:
        folder: Private, of this member and run.
        member: Its id.
        run: The run document.
    """

    def __init__(self, folder: Path, member: str, run: RunDocument) -> None:
        super().__init__(folder, member, run)
        self._clips: tuple[int, dict[str, float]] | None = None
        """c_T of the round that was seen last, with its number."""

    def set_up(self, book: AnySum) -> SealSetUp:
        """Enter the round.

        Raises:
            SealRefused: as of `KeyPen`, or the sums so far tell more of me than the run allows.
        """
        self._check_exposure(book)
        return super().set_up(book)

    def _check_exposure(self, book: AnySum) -> None:
        seal = book.epoch.seal
        if seal.leak_limit >= 1:
            return
        score = score_of(book.released, self._member, seal.leak_constancy)
        if score > seal.leak_limit:
            message = f"sums so far tell of my mean update with a score of {score:.2f}"
            remedy = "stay out of this run, or have members adopt one with another limit"
            raise SealRefused(message, where="seal.leak_limit", remedy=remedy)

    def open_scales(
        self, book: RoundBook, table: bytes, base: Path, coverage: Coverage
    ) -> SealedInputs:
        """What the integers of this round stand for, held against what can be known here.

        Raises:
            SealRefused: it is another table than the plan names, or one that does not follow from
                the round before.
        """
        found = ScaleTable.decode(table)
        if found.digest != book.plan.scales:
            raise SealRefused("is not the one that the plan names", where="scale table")
        inputs = RoundInputs(
            run=self._run,
            round=book.round,
            base=base,
            base_digest=book.plan.base,
            outer_state=None,
            norm_history=NormHistory(),
        )
        clips = clips_of(found, inputs.update_layout.entries)
        sealed = sealed_inputs(inputs, clips, book.epoch.largest, coverage)
        if sealed.table.digest != found.digest:
            raise SealRefused("is of other tensors or another ring", where="scale table")
        if not self._follows(clips, book.round, inputs):
            raise SealRefused("does not follow from the round before", where="scale table")
        self._clips = book.round, clips
        return sealed

    def _follows(self, clips: Mapping[str, float], round_: int, inputs: RoundInputs) -> bool:
        """Whether scales are those of the first round, or changed by a factor 2 a round at most.

        Exactly what they must be is not known here: it follows from the merged update, of which a
        member sees the encoded step alone. A verifier computes it again.
        """
        if round_ == 0:
            return clips == first_clips(self._run, inputs.base_file.specs)
        if self._clips is None:
            return True
        seen, before = self._clips
        most = (LARGEST_CHANGE * (1 + 2**-20)) ** (round_ - seen)
        return clips.keys() == before.keys() and all(
            before[name] / most <= clips[name] <= before[name] * most for name in clips
        )

    def mask_update(
        self, book: RoundBook, sealed: SealedInputs, tensors: Mapping[str, FloatArray]
    ) -> Masked:
        """Quantise and mask a trained update, and keep it on disk as the only one of this round.

        Args:
            tensors: The pseudo-gradient and the state that travels, by name.

        Raises:
            SealRefused: another one was kept, or this training went into another attempt.
            UpdateError: a value is not finite.
        """
        kept, cohort = self._enter(book), self._place(book.epoch)[0]
        values = quantised(
            tensors,
            sealed.inputs.update_layout,
            sealed.table,
            sealed.coverage,
            limits=self._limits(sealed),
            share=weighing(self._run).share(self._member),
            random=Keystream(os.urandom(32)).read,
        )
        root, salt = chunk_root(values.data.cast("B")), os.urandom(SALT_BYTES)
        header = expected_header(sealed, book, cohort, self._member).encode()
        self._write(kept, book, header, values, sealed.table.ring)
        kept.commit(
            Commitment(
                file_root=file_root(kept.vector_path),
                work=_work(tensors),
                salt=salt,
                value_root=root,
            )
        )
        return Masked(
            path=kept.vector_path,
            update=digest_file(kept.vector_path),
            bytes=kept.vector_path.stat().st_size,
            hidden=value_commitment(kept.instance, self._me(book), salt, root).hex(),
        )

    def announce(self, book: RoundBook, body: UpdateCommitted) -> None:
        """Keep what I am about to say of my masked update."""
        self._enter(book).announce(canonical_json(body.model_dump(mode="json")))

    def announced(self, book: RoundBook) -> tuple[UpdateCommitted, Path] | None:
        """What I said of this very attempt, or was about to, and the same file; None if nothing.

        Raises:
            SealRefused: the attempt is void, or the file is gone or altered.
        """
        kept = self._enter(book)
        body = kept.announced()
        if body is None:
            return None
        value = parse_canonical(body, where="announced", max_bytes=MAX_ANNOUNCED_BYTES)
        return UpdateCommitted.model_validate(value), kept.vector_path

    # --- parts ------------------------------------------------------------------------------

    def _limits(self, sealed: SealedInputs) -> dict[str, float]:
        inputs = sealed.inputs
        clips = clips_of(sealed.table, inputs.update_layout.entries)
        return norm_limits(self._run, inputs.update_layout, inputs.round, clips)


def _work(tensors: Mapping[str, FloatArray]) -> bytes:
    """Names a training result: the same values are the same work, in whatever round.

    By one value in a few: another training changes nearly all of them.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(np.ascontiguousarray(tensors[name].reshape(-1)[::NAMED_STRIDE]).data)
    return digest.digest()
