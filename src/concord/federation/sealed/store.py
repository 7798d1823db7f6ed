"""A member's memory of sealed sums: what may happen once only, on disk before anything is sent.

    position                    (round, fragment, attempt) and ctx of the last instance; only grows
    unmasked                    of values that never change: the one instance that is unmasked
    spent                       training results that were committed, each with its instance
    <round>-<fragment>-<attempt>/
      setup                     seeds and the set-up that was published
      masking-set               W
      vector                    the masked file, written before its root is kept
      commit                    its root, and what a dispute needs
      announced                 the statement that goes with it, so that it can be sent once more
      survivor-set              U
      void                      nothing more is sent for this instance

Ask first, then send: each call returns only when its record would survive a power cut. A call with
the same content again gives the same answer, so a member that was killed goes through its steps
once more and sends the same bytes. Other content is refused: no second masking set, vector or
survivor set of an instance, no training result in two instances, no shares of both seeds of one
member, no way back to an earlier instance.

A store that was lost or restored from a copy no longer knows what was sent: the member sits out
until the next epoch, whose keys are new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from concord.base.canonical import Json, canonical_json, parse_canonical
from concord.base.errors import ConcordError, SealRefused
from concord.base.files import private_folder
from concord.base.locks import locked
from concord.crypto.merkle import leaf_hash, root_of_leaves
from concord.crypto.seal import (
    Cohort,
    IndexSet,
    Instance,
    OwnSetup,
    Ring,
    SharePair,
    Unmask,
    mask_keys,
    masking_set,
    survivor_set,
    unmask,
)
from concord.crypto.seal.dispute import Disclosure, disclose
from concord.crypto.seal.masks import apply_masks
from concord.crypto.seal.member import ROOT_CHUNK_BYTES
from concord.crypto.seal.ring import RingArray, SignedArray
from concord.federation.sealed.disk import Disk, PlainDisk, Records

_POSITION_KEYS = {"attempt", "ctx", "fragment", "round"}
_HASH = 32


@dataclass(frozen=True)
class Commitment:
    """What a member committed to.

    Args:
        file_root: `chunk_root` of the masked file.
        work: Digest of the training result that the values were made from.
        salt, value_root: What opens the hiding commitment in a dispute.
    """

    file_root: bytes
    work: bytes
    salt: bytes
    value_root: bytes

    def encode(self) -> bytes:
        return self.file_root + self.work + self.salt + self.value_root

    @classmethod
    def decode(cls, data: bytes) -> Commitment:
        if len(data) != 4 * _HASH:
            raise SealRefused("is torn", where="kept commitment")
        parts = [data[at : at + _HASH] for at in range(0, len(data), _HASH)]
        return cls(*parts)


class SealStore:
    """The memory of one member of one run.

    Every step holds a lock from its first look to its last write, so that a process that was left
    behind and its successor cannot say two things between them.

    Args:
        folder: Private; one per member and run.
        keep: Instances before the current one whose records stay, for disputes.
    """

    def __init__(self, folder: Path, *, keep: int = 1, disk: Disk | None = None) -> None:
        self.folder, self._keep = folder, keep
        self.disk = disk if disk is not None else PlainDisk()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store against other processes; they wait.

        Raises:
            StorageError: the folder cannot be written.
        """
        private_folder(self.folder)
        with locked(self.folder / ".lock", wait=True):
            yield

    @property
    def position(self) -> tuple[int, int, int] | None:
        """(round, fragment, attempt) of the last instance; None before the first."""
        kept = self._kept_position()
        return None if kept is None else kept[0]

    def begin(self, instance: Instance, cohort: Cohort) -> InstanceStore:
        """Enter an instance, or come back to the one that was entered last.

        Raises:
            SealRefused: it is before the last one, or at its place but under another model,
                roster, configuration or cohort.
        """
        with self.alone():
            kept = self._kept_position()
            if kept is None or instance.position > kept[0]:
                self._enter(instance)
            elif (instance.position, instance.ctx) != kept:
                message = f"instance {instance.position} does not come after {kept[0]}"
                if instance.position == kept[0]:
                    message = f"instance {kept[0]} was entered under other facts"
                remedy = "a new attempt, fragment or round is a new instance"
                raise SealRefused(message, where=self.folder, remedy=remedy)
        folder = self.folder / _folder(instance.position)
        return InstanceStore(self, instance, cohort, Records(folder, self.disk))

    def past(self, instance: Instance, cohort: Cohort) -> InstanceStore:
        """An instance that may be over, to read what is left of it. It is not entered."""
        folder = self.folder / _folder(instance.position)
        return InstanceStore(self, instance, cohort, Records(folder, self.disk))

    def spend(self, work: bytes, instance: Instance) -> None:
        """Note that a training result goes into this instance, and so into no other.

        The caller holds the store `alone`.

        Raises:
            SealRefused: it went into another one, even if that was void.
        """
        name = "spent"
        path = self.folder / name
        before = Records(self.folder, self.disk).get(name) or b""
        for at in range(0, len(before), 2 * _HASH):
            known, ctx = before[at : at + _HASH], before[at + _HASH : at + 2 * _HASH]
            if known == work:
                if ctx == instance.ctx:
                    return
                message = "this training result went into another instance"
                remedy = "train at least one fresh round before contributing again"
                raise SealRefused(message, where="update", remedy=remedy)
        self.disk.replace(path, before + work + instance.ctx)

    def forget(self) -> None:
        """Remove all instances and epochs; what may be said once only stays known."""
        with self.alone():
            for pattern in ("*-*-*", "epoch-*"):
                for path in sorted(self.folder.glob(pattern)):
                    self.disk.remove(path)

    def keep_only(self, instance: Instance) -> None:
        """Note that this instance is unmasked, and so no other of this store, ever.

        Raises:
            SealRefused: another one was.
        """
        with self.alone():
            Records(self.folder, self.disk).put("unmasked", instance.ctx)

    def check_only(self, instance: Instance) -> None:
        """Refuse an instance after another one was unmasked that all others exclude.

        Raises:
            SealRefused: `keep_only` was asked for another one.
        """
        if (Records(self.folder, self.disk).get("unmasked") or instance.ctx) != instance.ctx:
            message = "another sum of the same values may be known"
            raise SealRefused(message, where=f"instance {instance.position}")

    def _enter(self, instance: Instance) -> None:
        round_, fragment, attempt = instance.position
        value: Json = {
            "attempt": attempt,
            "ctx": instance.ctx.hex(),
            "fragment": fragment,
            "round": round_,
        }
        self.disk.replace(self.folder / "position", canonical_json(value))
        for torn in self.folder.glob(".*.part"):
            self.disk.remove(torn)
        folders = sorted(path for path in self.folder.glob("*-*-*") if path.is_dir())
        current = _folder(instance.position)
        before = [path for path in folders if path.name < current]
        for path in before[: max(0, len(before) - self._keep)]:
            self.disk.remove(path)

    def _kept_position(self) -> tuple[tuple[int, int, int], bytes] | None:
        data = Records(self.folder, self.disk).get("position")
        if data is None:
            return None
        where = self.folder / "position"
        try:
            value = parse_canonical(data, where=where, max_bytes=1024)
            if not isinstance(value, dict) or set(value) != _POSITION_KEYS:
                raise ValueError("other keys")
            place = (int(value["round"]), int(value["fragment"]), int(value["attempt"]))
            return place, bytes.fromhex(value["ctx"])
        except (ConcordError, ValueError, TypeError) as error:
            remedy = "sit out until the next epoch: what was sent is not known any more"
            raise SealRefused("is damaged", where=where, remedy=remedy) from error


class InstanceStore:
    """What a member keeps of one instance; made by `SealStore.begin`."""

    def __init__(
        self, store: SealStore, instance: Instance, cohort: Cohort, records: Records
    ) -> None:
        self._store, self._records = store, records
        self.instance, self.cohort = instance, cohort

    def setup(self, make: Callable[[], OwnSetup]) -> OwnSetup:
        """The set-up of this instance, made if there is none: its seeds are drawn once.

        Raises:
            SealRefused: the instance is void or over.
        """
        with self._store.alone():
            self._check_open()
            data = self._records.made("setup", lambda: make().encode())
        found = OwnSetup.decode(data, self.cohort.size)
        if found.public.ctx != self.instance.ctx:
            raise SealRefused("is of another instance", where=self._records.folder / "setup")
        return found

    def masking_set(self, members: IndexSet) -> IndexSet:
        """Keep W. Ask before masking.

        Raises:
            SealRefused: another one was kept, I am not in it or not set up, or it is too small.
        """
        masking_set(self.cohort, members.indices)
        with self._store.alone():
            self._check_open()
            if self._me() not in members:
                raise SealRefused("I am not in it", where="masking set")
            self._records.put("masking-set", _encode(members))
        return members

    @property
    def vector_path(self) -> Path:
        """The masked file, to be sent once it is committed."""
        return self._records.folder / "vector"

    def write_vector(self, *parts: bytes | memoryview) -> bytes:
        """Write the masked file, durable, and give its root. Nothing of it may be sent yet.

        Raises:
            SealRefused: there is no masking set, or a vector was committed before.
        """
        with self._store.alone():
            self._check_open()
            self._need("masking-set")
            if self._records.get("commit") is not None:
                remedy = "send the one that was committed"
                raise SealRefused("was committed", where=self.vector_path, remedy=remedy)
            self._store.disk.replace(self.vector_path, *parts)
        return file_root(self.vector_path)

    def commit(self, commitment: Commitment) -> Commitment:
        """Keep the root of the one masked file of this instance; then it may be named and sent.

        Raises:
            SealRefused: there is no masking set, another root was kept, the file does not have this
                root, or the training result went into another instance.
        """
        with self._store.alone():
            self._check_open()
            self._need("masking-set")
            if self._records.get("commit") is None:
                self._check_file(commitment)
                self._store.spend(commitment.work, self.instance)
            self._records.put("commit", commitment.encode())
        return commitment

    def committed(self) -> Commitment | None:
        """What was committed, and whose file is still there; None if nothing was.

        Raises:
            SealRefused: the file is gone or altered, so that the vector cannot be sent any more.
        """
        data = self._records.get("commit")
        if data is None:
            return None
        found = Commitment.decode(data)
        self._check_file(found)
        return found

    def announce(self, body: bytes) -> None:
        """Keep what is said of the masked file, before it is said.

        Raises:
            SealRefused: nothing was committed, or something else was said before.
        """
        with self._store.alone():
            self._check_open()
            self._need("commit")
            self._records.put("announced", body)

    def announced(self) -> bytes | None:
        """What is to be said once more, with the very file of before; None if nothing was.

        Raises:
            SealRefused: the instance is void or over, or the file is gone or altered.
        """
        body = self._records.get("announced")
        if body is not None:
            self._check_open()
            self.committed()
        return body

    def survivor_set(self, members: IndexSet) -> IndexSet:
        """Keep U. Ask before unmasking.

        Raises:
            SealRefused: another one was kept, it does not fit the masking set, or it holds me
                though I committed to nothing.
        """
        with self._store.alone():
            self._check_open()
            masked = self._kept_set("masking-set")
            survivor_set(self.cohort, masked, members.indices)
            if self._me() not in members:
                raise SealRefused("I am not in it, and owe no answer", where="survivor set")
            self._need("commit")
            self._records.put("survivor-set", _encode(members))
        return members

    def unmask(self, shares: Mapping[int, SharePair]) -> Unmask:
        """My answer to the survivor set that is kept: the same every time.

        Args:
            shares: `receive_shares`.

        Raises:
            SealRefused: no survivor set is kept.
        """
        with self._store.alone():
            self._check_open()
            masked, survivors = self._kept_set("masking-set"), self._kept_set("survivor-set")
        return unmask(self.instance, self._me(), shares, masked, survivors)

    def disclosure(self, keys: Mapping[int, bytes], ring: Ring, header_bytes: int) -> Disclosure:
        """What a panel needs to judge this instance, and it alone; also of a past one.

        Args:
            keys: PRK of each pair.
            header_bytes: Of the masked file, before its elements.

        Raises:
            SealRefused: nothing was committed, or the records of this instance are gone.
        """
        found = self.committed()
        if found is None:
            raise SealRefused("nothing was committed", where=f"instance {self.instance.position}")
        own = OwnSetup.decode(self._need("setup"), self.cohort.size)
        masked = self._kept_set("masking-set")
        data = self.vector_path.read_bytes()
        vector = cast(RingArray, np.frombuffer(data, ring.unsigned, offset=header_bytes).copy())
        masks = mask_keys(self.instance, self.cohort, own, keys, masked)
        apply_masks(vector, masks.subtract, masks.add)
        values = cast(SignedArray, vector.view(ring.signed))
        return disclose(own, keys, masked, values=values, salt=found.salt)

    def void(self) -> None:
        """Nothing more will be sent for this instance; what was trained for it is spent."""
        with self._store.alone():
            self._records.put("void", b"")

    @property
    def is_void(self) -> bool:
        return self._records.get("void") is not None

    def _check_open(self) -> None:
        if self._store.position != self.instance.position:
            raise SealRefused("a later one was entered", where=f"instance {self.instance.position}")
        if self.is_void:
            raise SealRefused("is void", where=f"instance {self.instance.position}")

    def _me(self) -> int:
        data = self._need("setup")
        return OwnSetup.decode(data, self.cohort.size).public.member

    def _need(self, name: str) -> bytes:
        data = self._records.get(name)
        if data is None:
            raise SealRefused(f"there is no {name} yet", where=f"instance {self.instance.position}")
        return data

    def _kept_set(self, name: str) -> IndexSet:
        data = self._need(name)
        return IndexSet(
            tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
        )

    def _check_file(self, commitment: Commitment) -> None:
        path = self.vector_path
        if not path.exists() or file_root(path) != commitment.file_root:
            message = "is missing, or is not the file that was committed to"
            remedy = "drop out of this instance: another vector must not be sent"
            raise SealRefused(message, where=path, remedy=remedy)


def file_root(path: Path) -> bytes:
    """`chunk_root` of a file, which may be larger than memory."""
    with path.open("rb") as stream:
        chunks = iter(partial(stream.read, ROOT_CHUNK_BYTES), b"")
        return root_of_leaves(leaf_hash(chunk) for chunk in chunks)


def _encode(members: IndexSet) -> bytes:
    return b"".join(index.to_bytes(2, "big") for index in members.indices)


def _folder(position: tuple[int, int, int]) -> str:
    round_, fragment, attempt = position
    return f"{round_:020}-{fragment:010}-{attempt}"
