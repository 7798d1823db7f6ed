"""A member's part of sealed sums, whatever is summed: keys, set-up, sets, shares.

Everything that may be said once is first kept by `EpochStore` and `SealStore`. What the member
believes of keys, sets and survivors is what its own copy of the log holds, under a checkpoint that
enough witnesses signed: nothing that a coordinator merely claims.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from concord.base.digest import Digest
from concord.base.errors import SealRefused
from concord.base.files import atomic_file
from concord.charter.run import RunDocument
from concord.crypto.base64text import to_base64
from concord.crypto.seal import (
    Cohort,
    Instance,
    OwnSetup,
    Ring,
    check_setups,
    make_setup,
    mask,
    mask_keys,
    receive_shares,
)
from concord.crypto.seal.ring import SignedArray
from concord.federation.sealed.epochs import EpochStore
from concord.federation.sealed.store import InstanceStore, SealStore
from concord.ledger.sealed.book import EpochBook, SumBook
from concord.ledger.sealed.instance import indices, raw, sealed_instance
from concord.ledger.statements.sealing import (
    BeaconShown,
    KeyShown,
    KeysSealed,
    SealSetUp,
    Unmasked,
)

AnySum = SumBook[Any]


class KeyPen:
    """One member's secrets and steps in the sealed sums of one run.

    Args:
        folder: Private; one per member, run and kind of sum.
        member: Its id.
        run: The run document.
    """

    def __init__(self, folder: Path, member: str, run: RunDocument) -> None:
        self._folder, self._member, self._run = folder, member, run
        self._digest = run.digest
        self._store = SealStore(folder)

    # --- epochs -----------------------------------------------------------------------------

    def show_key(self, epoch: EpochBook, agreed: Digest) -> KeyShown:
        """My key for the epoch, and what I found: the rows left out, or the list to count by."""
        content = to_base64(self._epoch(epoch).public().encode())
        return KeyShown(epoch=epoch.digest, content=content, coverage=agreed)

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

    # --- a sum ------------------------------------------------------------------------------

    def set_up(self, book: AnySum) -> SealSetUp:
        """Enter the sum: fresh seeds, dealt to the others of my cohort.

        Raises:
            SealRefused: a later one was entered before, or a key of a pair is missing.
        """
        kept = self._enter(book)
        own = kept.setup(
            lambda: make_setup(kept.instance, kept.cohort, self._me(book), self._keys(book),
                               os.urandom)
        )  # fmt: skip
        return SealSetUp(plan=book.plan_digest, content=to_base64(own.public.encode()))

    def accept_masking_set(self, book: AnySum) -> None:
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

    def unmask(self, book: AnySum) -> Unmasked:
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

    def forget(self) -> None:
        """Remove keys and seeds: no sum of this store is needed any more."""
        self._store.forget()

    # --- parts ------------------------------------------------------------------------------

    def _write(
        self, kept: InstanceStore, book: AnySum, header: bytes, values: SignedArray, ring: Ring
    ) -> None:
        if kept.vector_path.exists():
            raise SealRefused("a masked vector of this sum was written before", where="update")
        cohort = kept.cohort
        masked = indices(cohort, book.masking[book.epoch.number_of(self._member) or 0])
        own = kept.setup(_no_setup)
        keys = mask_keys(kept.instance, cohort, own, self._keys(book), masked)
        vector = mask(values, ring, keys)
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

    def _me(self, book: AnySum) -> int:
        return self._place(book.epoch)[1]

    def _keys(self, book: AnySum) -> dict[int, bytes]:
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

    def _instance(self, book: AnySum) -> tuple[Instance, Cohort]:
        cohort = self._place(book.epoch)[0]
        return sealed_instance(self._digest, book, cohort), cohort

    def _enter(self, book: AnySum) -> InstanceStore:
        return self._store.begin(*self._instance(book))


def epoch_name(epoch: Digest) -> str:
    """How the member's store names an epoch."""
    return epoch.removeprefix("sha256:")[:32]


def _no_setup() -> OwnSetup:
    raise SealRefused("there is no set-up of this round", where="set-up")
