"""A copy of the log's meaning that trusts nobody: every entry is checked before it is believed.

A member, a coordinator and a verifier each hold one. It takes entries in order, folds them, and
compares what they make with the checkpoints it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from concord.base.errors import ForkDetected, SignatureRefused, StatementRefused
from concord.crypto.keys import PublicKey
from concord.crypto.merkle import Frontier, consistency_path, inclusion_path, leaf_hash
from concord.crypto.notes import Checkpoint, Note
from concord.ledger.entries import Entry
from concord.ledger.keyring import KeyRing
from concord.ledger.names import log_origin, witness_name
from concord.ledger.state.apply import apply
from concord.ledger.state.library import Library
from concord.ledger.state.model import State
from concord.ledger.witness import WitnessStore


class Replica:
    """The state after some entries, and the tree that they make.

    Args:
        library: Where charters and run documents are looked up.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self.state = State()
        self._tree = Frontier()
        self._levels: list[list[bytes]] = []

    @property
    def size(self) -> int:
        return self._tree.size

    @property
    def checkpoint(self) -> Checkpoint:
        """What the log must say of itself at this size."""
        return Checkpoint(log_origin(self.state.name), self.size, self._tree.root())

    def take(self, entry: Entry) -> None:
        """One entry more.

        Raises:
            StatementRefused: it may not stand there; the replica is as it was.
        """
        self.state = apply(self.state, entry, self.library)
        for level, made in enumerate(self._tree.append(leaf_hash(entry.data))):
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(made)

    def extend(self, entries: Iterable[bytes]) -> list[Entry]:
        """Entries more, as the log holds them.

        Raises:
            StatementRefused: one may not stand there; those before it are taken.
        """
        taken = []
        for data in entries:
            entry = Entry.parse(data, where=f"entry {self.size}")
            self.take(entry)
            taken.append(entry)
        return taken

    def consistency(self, old_size: int) -> list[bytes]:
        """Hashes that show that these entries begin with the first `old_size` of them."""
        return consistency_path(self._subtree, old_size, self.size)

    def inclusion(self, index: int) -> list[bytes]:
        """Hashes that show that entry `index` is among these."""
        return inclusion_path(self._subtree, index, self.size)

    def hashes(self, level: int, begin: int, count: int) -> list[bytes]:
        """Roots of `count` neighbouring subtrees of 2^`level` entries each, from number `begin`."""
        return self._levels[level][begin : begin + count]

    def _subtree(self, level: int, index: int) -> bytes:
        return self._levels[level][index]

    def cosign(
        self, note: Note, *, member: str, keys: KeyRing, store: WitnessStore, now: int
    ) -> str:
        """A member's cosignature under a checkpoint of these entries.

        Raises:
            ForkDetected, LogError: the member's witness signed another history before.
            LogCorrupt: the witness has lost its memory.
        """
        known = store.read()
        return store.add_checkpoint(
            note,
            old_size=known.size,
            proof=self.consistency(known.size) if known.size <= self.size else (),
            log_key=PublicKey.parse(self.state.coordinator.log_key),
            name=witness_name(self.state.name, member),
            key=keys.load("witness"),
            time_s=now,
        )

    def check(self, note: Note) -> None:
        """Whether a checkpoint is that of these entries, signed by the log in force.

        Raises:
            ForkDetected: signed by the log, of this size, and another root.
            SignatureRefused: not signed by the log, or of another log or size.
        """
        mine = self.checkpoint
        key = PublicKey.parse(self.state.coordinator.log_key)
        if not note.log_signature_ok(mine.origin, key):
            raise SignatureRefused("the log's coordinator did not sign this checkpoint")
        if note.checkpoint.size != mine.size:
            raise SignatureRefused(
                f"the checkpoint is of {note.checkpoint.size} entries, here are {mine.size}",
                where="checkpoint",
            )
        if note.checkpoint.root != mine.root:
            raise ForkDetected(
                f"the log signed another history of {mine.size} entries than it shows here",
                where="checkpoint",
                remedy="keep this checkpoint and the log: together they are evidence",
            )

    def witnesses(self, note: Note) -> dict[str, int]:
        """Members that cosigned a checkpoint, with the time at which each did (Unix seconds).

        Raises:
            SignatureRefused: a cosignature is wrong.
        """
        revoked = set(self.state.revoked)
        keys = {
            witness_name(self.state.name, member): PublicKey.parse(key)
            for member, key in self.state.witness_keys().items()
            if key not in revoked
        }
        members = {witness_name(self.state.name, m): m for m in self.state.witness_keys()}
        return {members[name]: at for name, at in note.cosignatures(keys).items()}

    def require_witness(self, note: Note, member: str) -> None:
        """Look for one member's cosignature, and at no other.

        Raises:
            SignatureRefused: it is missing or wrong, or the member is no witness.
        """
        key = self.state.witness_keys().get(member)
        if key is not None and key not in self.state.revoked:
            name = witness_name(self.state.name, member)
            if note.cosignatures({name: PublicKey.parse(key)}):
                return
        raise SignatureRefused("a cosignature is not by this member", where=member)

    def quorum_needed(self) -> int:
        """Cosignatures that make a quorum of the present members."""
        share = self.library.charter(self.state.charter).log.witness_quorum
        return share.needed(len(self.state.seated()))

    def require_quorum(self, note: Note) -> int:
        """The youngest time at which a quorum had cosigned, in Unix seconds.

        Raises:
            SignatureRefused: too few members cosigned.
        """
        times = sorted(self.witnesses(note).values(), reverse=True)
        needed = self.quorum_needed()
        if len(times) < needed:
            raise SignatureRefused(
                f"{len(times)} members cosigned the checkpoint; {needed} are needed",
                where="checkpoint",
                remedy="ask the other members' witnesses",
            )
        return times[needed - 1]

    def require_founded(self) -> None:
        """Refuse to go on without a federation.

        Raises:
            StatementRefused: the log is empty.
        """
        if self.state.federation is None:
            raise StatementRefused("the log holds no founding statement")
