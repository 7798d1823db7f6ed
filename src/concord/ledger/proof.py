"""A proof that a statement is in a log, in one file, checked with nothing but a few public keys.

The file holds the entry, its number, the hashes up to the root, and the checkpoint with its
cosignatures. Whoever checks it brings the keys that it trusts, from elsewhere than the file.

Source: RFC 6962, section 2.1.1; C2SP tlog-checkpoint and tlog-cosignature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from concord.base.canonical import parse_json
from concord.base.digest import Digest
from concord.base.errors import (
    CryptoError,
    DocumentError,
    LogError,
    StatementRefused,
    VerificationFailed,
)
from concord.charter.document import Document, Identifier, describe
from concord.crypto.keys import PublicKey
from concord.crypto.merkle import leaf_hash, verify_inclusion
from concord.crypto.notes import Checkpoint, Note
from concord.ledger.archive import Archive
from concord.ledger.entries import Entry
from concord.ledger.names import log_origin, witness_name
from concord.ledger.rotation import keys_of
from concord.ledger.state.model import State
from concord.ledger.statements.fields import DigestText, KeyText

MAX_PROOF_BYTES = 16 << 20
MAX_STATEMENTS = 2_000
Read = TypeVar("Read", bound=Document)
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Included(Document):
    """An entry of a log, and the way from it to the root."""

    entry: Annotated[str, Field(max_length=65_535)]
    index: Annotated[int, Field(ge=0, lt=2**53)]
    path: Annotated[tuple[Hash, ...], Field(max_length=63)]
    """Hashes from the entry up to the root."""


class Proof(Document):
    """Statements that speak of one digest, each with the way to the root of one checkpoint."""

    format: Literal["concord-proof/1"] = "concord-proof/1"
    digest: DigestText
    checkpoint: Annotated[str, Field(max_length=1 << 20)]
    """The note: size, root, the log's signature and the witnesses' lines."""
    statements: Annotated[tuple[Included, ...], Field(min_length=1, max_length=MAX_STATEMENTS)]


class TrustedKeys(Document):
    """Keys of a federation as its reader trusts them: `concord keys show --json`."""

    federation: DigestText
    name: Identifier
    log_key: KeyText
    witnesses: dict[Identifier, KeyText]
    witness_quorum: Annotated[int, Field(ge=0)]
    parties: dict[Identifier, KeyText]
    """Identity key of each party now."""


@dataclass(frozen=True)
class Shown:
    """A statement that a proof shows."""

    entry: Entry
    index: int
    signed_by: tuple[str, ...]
    """Parties whose present keys signed it; others signed with keys that they exchanged since."""


@dataclass(frozen=True)
class Checked:
    """What a proof that holds shows."""

    size: int
    """Entries of the log under the checkpoint."""
    witnesses: tuple[str, ...]
    statements: tuple[Shown, ...]


def trusted_keys(archive: Archive) -> TrustedKeys:
    """The keys that count at the end of a log."""
    state = archive.state
    return TrustedKeys(
        federation=state.federation or "",
        name=state.name,
        log_key=state.coordinator.log_key,
        witnesses={m: key for m, key in state.witness_keys().items() if key not in state.revoked},
        witness_quorum=archive.replica.quorum_needed(),
        parties={name: keys_of(state, name)["identity"] for name in _parties(state)},
    )


def speaking_of(archive: Archive, digest: Digest) -> list[int]:
    """Numbers of the entries that have a digest as their subject, or are the statement itself."""
    return [index for index, entry in enumerate(archive.entries) if _speaks_of(entry, digest)]


def prove(archive: Archive, digest: Digest) -> Proof | None:
    """The proof of all that the log says of a digest; None if it says nothing.

    Raises:
        DocumentError: more statements speak of it than a proof can hold.
    """
    found = speaking_of(archive, digest)
    if len(found) > MAX_STATEMENTS:
        raise DocumentError(
            f"{len(found):,} statements speak of it, {MAX_STATEMENTS:,} are the limit", where=digest
        )
    if not found:
        return None
    return Proof(
        digest=digest,
        checkpoint=archive.note.encode().decode(),
        statements=tuple(
            Included(
                entry=archive.entries[index].data.decode(),
                index=index,
                path=tuple(part.hex() for part in archive.replica.inclusion(index)),
            )
            for index in found
        ),
    )


def check_proof(proof: Proof, keys: TrustedKeys) -> Checked:
    """Check a proof against trusted keys alone.

    1. the log's key signed the checkpoint
    2. as many witnesses as are needed cosigned it
    3. every entry is in the tree that the checkpoint names
    4. every entry speaks of the digest, in this federation
    5. its signatures by keys that are known are right

    Raises:
        VerificationFailed: the first of these that does not hold.
    """
    try:
        note = Note.parse(proof.checkpoint.encode())
        if not note.log_signature_ok(log_origin(keys.name), PublicKey.parse(keys.log_key)):
            raise VerificationFailed("the log's key did not sign it", where="checkpoint")
        witnesses = _witnesses(note, keys)
        found = tuple(
            _checked(one, note.checkpoint, proof.digest, keys) for one in proof.statements
        )
    except (CryptoError, LogError, StatementRefused) as error:
        raise VerificationFailed(error.message, where=error.where or "proof") from error
    return Checked(note.checkpoint.size, witnesses, found)


def _witnesses(note: Note, keys: TrustedKeys) -> tuple[str, ...]:
    names = {witness_name(keys.name, member): member for member in keys.witnesses}
    public = {name: PublicKey.parse(keys.witnesses[member]) for name, member in names.items()}
    found = tuple(sorted(names[name] for name in note.cosignatures(public)))
    if len(found) < keys.witness_quorum:
        raise VerificationFailed(
            f"{len(found)} trusted witnesses cosigned it; {keys.witness_quorum} are needed",
            where="checkpoint",
            remedy="ask for a proof under a checkpoint that more members cosigned",
        )
    return found


def _checked(one: Included, checkpoint: Checkpoint, digest: Digest, keys: TrustedKeys) -> Shown:
    where = f"entry {one.index}"
    data, path = one.entry.encode(), [bytes.fromhex(part) for part in one.path]
    verify_inclusion(leaf_hash(data), one.index, checkpoint.size, path, checkpoint.root)
    entry = Entry.parse(data, where=where)
    if entry.statement.federation != keys.federation:
        raise VerificationFailed("is of another federation", where=where)
    if not _speaks_of(entry, digest):
        raise VerificationFailed(f"does not speak of {digest}", where=where)
    parties = {PublicKey.parse(key).key_id: name for name, key in keys.parties.items()}
    good = entry.envelope.verified_by(PublicKey.parse(key) for key in keys.parties.values())
    claimed = {s.key_id for s in entry.envelope.signatures}
    if wrong := sorted(parties[key_id] for key_id in (claimed & parties.keys()) - good):
        raise VerificationFailed(f"the signature of {wrong[0]} is wrong", where=where)
    return Shown(entry, one.index, tuple(sorted(parties[key_id] for key_id in good)))


def _speaks_of(entry: Entry, digest: Digest) -> bool:
    statement = entry.statement
    return digest == statement.digest or digest in statement.subjects().values()


def _parties(state: State) -> list[str]:
    return sorted([*state.seated(), *state.overseers])


def read_document(data: bytes, kind: type[Read], *, where: object) -> Read:
    """Read a proof or a file of trusted keys.

    Raises:
        DocumentError: it is not one.
    """
    try:
        return kind.model_validate(parse_json(data, where=where, max_bytes=MAX_PROOF_BYTES))
    except ValidationError as error:
        raise DocumentError(describe(error), where=where) from error
