"""Witnesses: they sign a checkpoint only if it extends the last one they signed.

A witness remembers one size and one root per log, and compares before it signs. Two histories
that exclude each other can then not both gather more than two thirds of honest witnesses. Memory
is on disk before the signature exists; a witness that lost it stops, since starting from zero
would let the log show it another past.

Source: https://c2sp.org/tlog-witness, add-checkpoint, with its answers in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from concord.base.canonical import canonical_json, parse_canonical
from concord.base.errors import (
    DocumentError,
    ForkDetected,
    LogCorrupt,
    LogError,
    SignatureRefused,
)
from concord.base.files import remove_torn, write_atomic, write_new
from concord.base.locks import locked
from concord.crypto.keys import PrivateKey, PublicKey
from concord.crypto.merkle import EMPTY_ROOT, verify_consistency
from concord.crypto.notes import Checkpoint, Note, cosign

MAX_PROOF_HASHES = 63
MAX_STATE_BYTES = 4096


@dataclass(frozen=True)
class Witness:
    """What a witness knows of one log: the tree that it signed last."""

    origin: str
    size: int = 0
    root: bytes = EMPTY_ROOT

    def after(self, old_size: int, checkpoint: Checkpoint, proof: Sequence[bytes]) -> Witness:
        """What it knows after it signs `checkpoint`, if it may.

        Args:
            old_size: The size that the asker thinks was signed last.
            checkpoint: What to sign; the log's signature was checked.
            proof: Consistency of `old_size` with the checkpoint's size.

        Raises:
            LogError: another log, a size that goes back, or `old_size` is not the one signed
                last: ask again with a proof from `size`.
            ForkDetected: the size signed last, with another root.
            LogCorrupt: the proof does not show that the log only grew.
        """
        if checkpoint.origin != self.origin:
            raise LogError(f"this witness watches {self.origin}, not {checkpoint.origin}")
        if old_size > checkpoint.size:
            raise LogError(f"the log would go back from {old_size} to {checkpoint.size} entries")
        if checkpoint.size == self.size and checkpoint.root != self.root:
            raise ForkDetected(
                f"size {self.size} was signed with root {self.root.hex()[:16]},"
                f" now it is to have {checkpoint.root.hex()[:16]}",
                where=self.origin,
                remedy="keep both checkpoints and show them to the members",
            )
        if old_size != self.size:
            remedy = f"ask again with a proof from size {self.size}"
            raise LogError(f"the size signed last is {self.size}, not {old_size}", remedy=remedy)
        if len(proof) > MAX_PROOF_HASHES:
            raise LogCorrupt(f"a proof of {len(proof)} hashes is too long")
        verify_consistency(self.size, self.root, checkpoint.size, checkpoint.root, proof)
        return Witness(self.origin, checkpoint.size, checkpoint.root)


class WitnessStore:
    """A witness with its memory in a file. Any number of processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, origin: str) -> WitnessStore:
        """Begin to watch the log `origin`, of which nothing was signed yet.

        Raises:
            StorageError: there is a memory already, or it cannot be written.
        """
        write_new(path, _encode(Witness(origin)))
        return cls(path)

    def read(self) -> Witness:
        """What was signed last.

        Raises:
            LogCorrupt: the memory is missing or damaged. Do not begin anew under the same key.
        """
        try:
            with self.path.open("rb") as stream:
                return _decode(stream.read(MAX_STATE_BYTES + 1))
        except (OSError, DocumentError, SignatureRefused, ValueError) as error:
            raise LogCorrupt(
                f"the witness has lost its memory: {error}",
                where=self.path,
                remedy="restore it, or retire this witness and its key; never start from zero",
            ) from error

    def add_checkpoint(
        self,
        note: Note,
        *,
        old_size: int,
        proof: Sequence[bytes],
        log_key: PublicKey,
        name: str,
        key: PrivateKey,
        time_s: int,
    ) -> str:
        """Cosign a checkpoint.

        Args:
            note: The checkpoint with the log's signature.
            old_size: The size that the asker thinks was signed last.
            proof: Consistency of `old_size` with the checkpoint's size.
            log_key: The log's key; its name is the origin.
            name: The witness's name.
            key: The witness's key, which no other witness has.
            time_s: Now, in seconds since 1970.

        Returns:
            The witness's line for the note. The memory was written before it was made.

        Raises:
            SignatureRefused: the log did not sign the checkpoint.
            LogError, ForkDetected, LogCorrupt: as in `Witness.after`; nothing was changed.
            StorageError: the memory cannot be written; nothing was signed.
        """
        # Of two requests at once one waits: else the later could undo the earlier's memory.
        with locked(self.path.with_name(f".{self.path.name}.lock"), wait=True):
            remove_torn(self.path.parent, of=self.path.name)
            known = self.read()
            if note.checkpoint.origin != known.origin:
                raise LogError(f"this witness watches {known.origin}, not what it was asked for")
            if not note.log_signature_ok(known.origin, log_key):
                raise SignatureRefused("the log has not signed this checkpoint", where=known.origin)
            after = known.after(old_size, note.checkpoint, proof)
            if after != known:
                write_atomic(self.path, _encode(after))
            return cosign(note.checkpoint, name, key, time_s)


def witness_quorum(count: int, over: Fraction = Fraction(2, 3)) -> int:
    """Witnesses needed of `count`: more than the share `over` of them."""
    return count * over.numerator // over.denominator + 1


def require_quorum(
    note: Note, witnesses: Mapping[str, PublicKey], over: Fraction = Fraction(2, 3)
) -> dict[str, int]:
    """Who cosigned and when, if they are more than the share `over` of `witnesses`.

    Raises:
        SignatureRefused: they are too few, or a line of one of them is wrong.
        KeyRefused: two witnesses share a key.
    """
    times_s = note.cosignatures(witnesses)
    needed = witness_quorum(len(witnesses), over)
    if len(times_s) < needed:
        raise SignatureRefused(
            f"cosigned by {len(times_s)} of {len(witnesses)} witnesses, {needed} are needed",
            where=f"checkpoint of size {note.checkpoint.size}",
            remedy="ask the other witnesses to cosign",
        )
    return times_s


def _encode(state: Witness) -> bytes:
    value = {"origin": state.origin, "root": state.root.hex(), "size": str(state.size)}
    return canonical_json(value)


def _decode(data: bytes) -> Witness:
    value = parse_canonical(data, max_bytes=MAX_STATE_BYTES)
    if not isinstance(value, dict) or value.keys() != {"origin", "root", "size"}:
        raise ValueError("unknown or missing keys")
    origin, size, root = (str(value[name]) for name in ("origin", "size", "root"))
    checked = Checkpoint(origin, int(size), bytes.fromhex(root))
    state = Witness(checked.origin, checked.size, checked.root)
    if _encode(state) != data:
        raise ValueError("not in its canonical form")
    return state
