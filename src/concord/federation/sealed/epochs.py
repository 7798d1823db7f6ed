"""A member's keys of an epoch, on disk.

    private        the epoch's private key; removed once the keys of all pairs are there
    beacon         revealed when all commitments are in the log
    secrets        what I drew for the others, and how I sealed it; removed with the private key
    sealed         the sealed part of it, which is public: asked again, the same is sent
    pair-keys      PRK_ij of each other member of the cohort

An epoch is named by the digest of the statement that opens it. When a new one is complete, the
folders of older ones are removed: past instances can then be opened by nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from concord.base.errors import SealRefused
from concord.crypto.seal import (
    EpochKey,
    EpochPrivateKey,
    beacon_commitment,
    decode_sealed,
    encode_sealed,
    open_pair_secret,
    pair_keys,
    seal_pair_secrets,
)
from concord.crypto.seal.cohorts import BEACON_BYTES
from concord.crypto.seal.epoch import SECRET_BYTES
from concord.crypto.seal.shamir import Entropy
from concord.federation.sealed.disk import Disk, PlainDisk, Records

_KEY_BYTES = 32


class EpochStore:
    """The keys of one member in one epoch.

    Args:
        folder: Private; one per member and run, shared by all epochs.
        epoch: Name of the epoch: lowercase hex digits.
        member: Id of the member.
    """

    def __init__(
        self,
        folder: Path,
        epoch: str,
        member: str,
        *,
        entropy: Entropy = secrets.token_bytes,
        disk: Disk | None = None,
    ) -> None:
        if not epoch or set(epoch) - set("0123456789abcdef"):
            raise SealRefused(f"{epoch[:80]!r} is no name of an epoch", where="epoch")
        self._disk = disk if disk is not None else PlainDisk()
        self._folder, self._member, self._entropy = folder, member, entropy
        self._records = Records(folder / f"epoch-{epoch}", self._disk)

    @property
    def beacon(self) -> bytes:
        """32 bytes, drawn once."""
        return self._records.made("beacon", lambda: self._entropy(BEACON_BYTES))

    def public(self, make: Callable[[], EpochPrivateKey] = EpochPrivateKey.generate) -> EpochKey:
        """What to publish: the same every time. Kept before it is returned."""
        public = self._records.get("public")
        if public is None:
            private = EpochPrivateKey.decode(self._records.made("private", lambda: make().encode()))
            key = EpochKey(private.public, beacon_commitment(self._member, self.beacon))
            public = self._records.made("public", key.encode)
        return EpochKey.decode(public)

    def sealed(self, run: bytes, keys: tuple[EpochKey, ...], me: int) -> bytes:
        """My secrets for the others of the cohort, sealed: the same every time.

        Raises:
            SealRefused: my key is not the one at my place, or two members' keys are equal.
        """
        self._check_mine(keys, me)
        if (kept := self._records.get("sealed")) is not None:
            return kept

        def make() -> bytes:
            drawn, sealed = seal_pair_secrets(run, keys, me, self._entropy)
            mine = b"".join(drawn[j] for j in sorted(drawn))
            return mine + encode_sealed(sealed, len(keys), me)

        return self._records.made("secrets", make)[SECRET_BYTES * (len(keys) - 1) :]

    def complete(
        self, run: bytes, keys: tuple[EpochKey, ...], me: int, sealed: Mapping[int, bytes]
    ) -> dict[int, bytes]:
        """Keys of all pairs, from what the others sealed; then the private key is removed.

        Args:
            sealed: `encode_sealed` of each other member of the cohort.

        Raises:
            SealRefused: one is missing, or does not open. Nothing is removed then.
        """
        if (kept := self.pair_keys(len(keys), me)) is not None:
            self._forget()
            return kept
        private = self._records.get("private")
        drawn = self._records.get("secrets")
        if private is None or drawn is None:
            raise SealRefused("has no key or no secrets yet", where=self._records.folder)
        self._check_mine(keys, me)
        others = [j for j in range(len(keys)) if j != me]
        mine = {j: drawn[SECRET_BYTES * k : SECRET_BYTES * (k + 1)] for k, j in enumerate(others)}
        key = EpochPrivateKey.decode(private)
        theirs = {
            j: open_pair_secret(
                run, keys, key, me=me, of=j, data=decode_sealed(data, len(keys), j)[me]
            )
            for j, data in sorted(sealed.items())
        }
        found = pair_keys(me, mine, theirs)
        self._records.put("sealed", drawn[SECRET_BYTES * len(others) :])
        self._records.put("pair-keys", b"".join(found[j] for j in others))
        self._forget()
        return found

    def pair_keys(self, members: int, me: int) -> dict[int, bytes] | None:
        """PRK of each other member; None before `complete`.

        Raises:
            SealRefused: they are those of a cohort of another size.
        """
        data = self._records.get("pair-keys")
        if data is None:
            return None
        if len(data) != _KEY_BYTES * (members - 1):
            raise SealRefused("are of a cohort of another size", where=self._records.folder)
        others = [j for j in range(members) if j != me]
        parts = [data[at : at + _KEY_BYTES] for at in range(0, len(data), _KEY_BYTES)]
        return dict(zip(others, parts, strict=True))

    def forget_others(self) -> None:
        """Remove the keys of all other epochs."""
        for folder in sorted(self._folder.glob("epoch-*")):
            if folder != self._records.folder:
                self._disk.remove(folder)

    def _check_mine(self, keys: tuple[EpochKey, ...], me: int) -> None:
        if not 0 <= me < len(keys) or keys[me] != self.public():
            remedy = "somebody published another key in my name, or my store is another epoch's"
            raise SealRefused("is not mine", where=f"epoch key {me}", remedy=remedy)

    def _forget(self) -> None:
        self._records.remove("private")
        self._records.remove("secrets")
