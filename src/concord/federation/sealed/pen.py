"""A member's part of sealed rounds: what it derives, checks, keeps, and says.

Everything that may be said once is first kept by `EpochStore` and `SealStore`. What the member
believes of keys, sets and survivors is what its own copy of the log holds, under a checkpoint that
enough witnesses signed: nothing that a coordinator merely claims.
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
from concord.base.files import atomic_file
from concord.base.tensors import FloatArray
from concord.charter.run import RunDocument
from concord.crypto.base64text import to_base64
from concord.crypto.seal import (
    Cohort,
    Instance,
    OwnSetup,
    check_setups,
    chunk_root,
    make_setup,
    mask,
    mask_keys,
    receive_shares,
    value_commitment,
)
from concord.crypto.seal.masks import Keystream
from concord.crypto.seal.ring import SignedArray
from concord.federation.sealed.epochs import EpochStore
from concord.federation.sealed.store import Commitment, InstanceStore, SealStore, file_root
from concord.ledger.arithmetic import RoundInputs
from concord.ledger.sealed.book import EpochBook, RoundBook
from concord.ledger.sealed.coverage import Coverage
from concord.ledger.sealed.exposure import score_of
from concord.ledger.sealed.instance import indices, raw, sealed_instance
from concord.ledger.sealed.rounds import SealedInputs, expected_header, sealed_inputs
from concord.ledger.sealed.tables import clips_of, first_clips, norm_limits
from concord.ledger.sealed.values import quantised, weighing
from concord.ledger.statements.sealing import (
    BeaconShown,
    KeyShown,
    KeysSealed,
    SealSetUp,
    Unmasked,
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


class SealPen:
    """One member's secrets and steps in the sealed rounds of one run.

    Args:
        folder: Private, of this member and run.
        member: Its id.
        run: The run document.
    """

    def __init__(self, folder: Path, member: str, run: RunDocument) -> None:
        self._folder, self._member, self._run = folder, member, run
        self._digest = run.digest
        self._store = SealStore(folder)
        self._clips: tuple[int, dict[str, float]] | None = None
        """c_T of the round that was seen last, with its number."""

    # --- epochs -----------------------------------------------------------------------------

    def show_key(self, epoch: EpochBook, coverage: Coverage) -> KeyShown:
        """My key for the epoch, and the vocabulary rows that I leave out."""
        content = to_base64(self._epoch(epoch).public().encode())
        return KeyShown(epoch=epoch.digest, content=content, coverage=coverage.digest)

    def show_beacon(self, epoch: EpochBook) -> BeaconShown:
        """What my commitment was to.

        Raises:
            SealRefused: my key is not on the list that was closed.
        """
        self._check_listed(epoch)
        return BeaconShown(epoch=epoch.digest, beacon=self._epoch(epoch).beacon.hex())

    def seal_keys(self, epoch: EpochBook) -> KeysSealed:
        """Secrets for the others of my cohort."""
        cohort, me = self._place(epoch)
        keys = tuple(epoch.keys[member] for member in cohort.members)
        sealed = self._epoch(epoch).sealed(raw(self._digest), keys, me)
        return KeysSealed(epoch=epoch.digest, content=to_base64(sealed))

    # --- a round ----------------------------------------------------------------------------

    def set_up(self, book: RoundBook) -> SealSetUp:
        """Enter the round: fresh seeds, dealt to the others of my cohort.

        Raises:
            SealRefused: a later round was entered before, a key of a pair is missing, or the sums
                so far tell more of me than the run allows.
        """
        self._check_exposure(book)
        kept = self._enter(book)
        own = kept.setup(
            lambda: make_setup(kept.instance, kept.cohort, self._me(book), self._keys(book),
                               os.urandom)
        )  # fmt: skip
        return SealSetUp(plan=book.plan_digest, content=to_base64(own.public.encode()))

    def _check_exposure(self, book: RoundBook) -> None:
        seal = book.epoch.seal
        if seal.leak_limit >= 1:
            return
        score = score_of(book.released, self._member, seal.leak_constancy)
        if score > seal.leak_limit:
            message = f"sums so far tell of my mean update with a score of {score:.2f}"
            remedy = "stay out of this run, or have members adopt one with another limit"
            raise SealRefused(message, where="seal.leak_limit", remedy=remedy)

    def accept_masking_set(self, book: RoundBook) -> None:
        """Check and keep the masking set, before any training.

        1. It is complete enough, and holds me.
        2. The tags of all pairs agree: everybody was shown the same base, plan and roster.
        3. Everybody's shares for me are those that it committed to.

        Raises:
            SealRefused, SealVoid: one of these does not hold, or another set was kept before.
        """
        kept, cohort = self._enter(book), self._place(book.epoch)[0]
        members = book.masking.get(book.epoch.number_of(self._member) or 0, ())
        if not members:
            raise SealRefused("there is none for my cohort in the log", where="masking set")
        kept.masking_set(indices(cohort, members))
        setups = {cohort.index(m): book.setups[m] for m in members}
        check_setups(kept.instance, cohort, setups)
        receive_shares(kept.setup(_no_setup), self._keys(book), setups)

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
        self._write(kept, book, header, values, sealed)
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

    def unmask(self, book: RoundBook) -> Unmasked:
        """My shares for the survivor set that the log holds.

        Raises:
            SealRefused: another one was kept before, I am not in it, or it is too small.
        """
        kept, cohort = self._enter(book), self._place(book.epoch)[0]
        number = book.epoch.number_of(self._member) or 0
        survivors = book.survivors.get(number, ())
        if not survivors:
            raise SealRefused("there is none for my cohort in the log", where="survivor set")
        kept.survivor_set(indices(cohort, survivors))
        setups = {cohort.index(m): book.setups[m] for m in book.masking[number]}
        shares = receive_shares(kept.setup(_no_setup), self._keys(book), setups)
        return Unmasked(plan=book.plan_digest, content=to_base64(kept.unmask(shares).encode()))

    # --- parts ------------------------------------------------------------------------------

    def _limits(self, sealed: SealedInputs) -> dict[str, float]:
        inputs = sealed.inputs
        clips = clips_of(sealed.table, inputs.update_layout.entries)
        return norm_limits(self._run, inputs.update_layout, inputs.round, clips)

    def _write(
        self,
        kept: InstanceStore,
        book: RoundBook,
        header: bytes,
        values: SignedArray,
        sealed: SealedInputs,
    ) -> None:
        if kept.vector_path.exists():
            raise SealRefused("a masked update of this round was written before", where="update")
        cohort = kept.cohort
        masked = indices(cohort, book.masking[book.epoch.number_of(self._member) or 0])
        own = kept.setup(_no_setup)
        keys = mask_keys(kept.instance, cohort, own, self._keys(book), masked)
        vector = mask(values, sealed.table.ring, keys)
        # Not synced: without the file a member drops out; what it may not do twice is synced.
        with atomic_file(kept.vector_path, durable=False) as stream:
            stream.write(header)
            stream.write(vector.data.cast("B"))

    def _epoch(self, epoch: EpochBook) -> EpochStore:
        return EpochStore(self._folder, epoch_name(epoch.digest), self._member)

    def _check_listed(self, epoch: EpochBook) -> None:
        if self._member not in epoch.keys:
            raise SealRefused("is not on the list of keys", where=self._member)

    def _place(self, epoch: EpochBook) -> tuple[Cohort, int]:
        number = epoch.number_of(self._member)
        if number is None:
            raise SealRefused("is in no cohort", where=self._member)
        return epoch.cohorts[number], epoch.cohorts[number].index(self._member)

    def _me(self, book: RoundBook) -> int:
        return self._place(book.epoch)[1]

    def _keys(self, book: RoundBook) -> dict[int, bytes]:
        """PRK of each pair; the private key of the epoch is removed once all are there."""
        cohort, me = self._place(book.epoch)
        epoch, store = book.epoch, self._epoch(book.epoch)
        found = store.pair_keys(cohort.size, me)
        if found is None:
            keys = tuple(epoch.keys[member] for member in cohort.members)
            sealed = {
                cohort.index(m): epoch.sealed[m]
                for m in cohort.members
                if m != self._member and m in epoch.sealed
            }
            found = store.complete(raw(self._digest), keys, me, sealed)
            store.forget_others()
        return found

    def _instance(self, book: RoundBook) -> tuple[Instance, Cohort]:
        cohort = self._place(book.epoch)[0]
        return sealed_instance(self._digest, book, cohort), cohort

    def _enter(self, book: RoundBook) -> InstanceStore:
        return self._store.begin(*self._instance(book))


def epoch_name(epoch: Digest) -> str:
    """How the member's store names an epoch."""
    return epoch.removeprefix("sha256:")[:32]


def _no_setup() -> OwnSetup:
    raise SealRefused("there is no set-up of this round", where="set-up")


def _work(tensors: Mapping[str, FloatArray]) -> bytes:
    """Names a training result: the same values are the same work, in whatever round.

    By one value in a few: another training changes nearly all of them.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(np.ascontiguousarray(tensors[name].reshape(-1)[::NAMED_STRIDE]).data)
    return digest.digest()
